import type { Emitter } from './events.ts'
import type { RelaySettings } from './options.ts'

/** What every part of one relay shares. */
export interface RelayContext {
  readonly settings: RelaySettings
  readonly events: Emitter
  /** aborts when the relay's time is over: no publish, probe or check is waited for */
  readonly abort: AbortSignal
  /** aborts soon after, when there is no time left at all: no call of any kind is waited for */
  readonly over: AbortSignal
}
