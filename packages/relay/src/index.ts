export type { RelayEventName, RelayEvents, RelayListener, RelayListeners } from './events.ts'
export type { RelayOptions } from './options.ts'
export { createRelay, type Relay, type RelayStats, type TickReport } from './relay.ts'
export type { RetryOptions } from './retry.ts'
