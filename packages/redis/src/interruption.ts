import type { RedisClient } from './client.ts'
import { onClientEvent } from './client-events.ts'

/** Why one waits no longer for answers. */
export interface Interruption {
  /** resolves with the reason, or never */
  readonly promise: Promise<string>
  /** nothing more may be sent: what the caller was told would no longer hold */
  readonly hasHappened: boolean
  readonly dispose: () => void
}

/**
 * Ends the wait for answers when `signal` aborts, and when a connection breaks whose client would forget them.
 *
 * With `autoResendUnfulfilledCommands: false`, ioredis drops what a lost connection had not answered without settling
 * it. With resends on, it is asked again on the next connection, and that answer is worth waiting for.
 */
export function watchForInterruption(client: RedisClient, signal: AbortSignal): Interruption {
  let end: (reason: string) => void = () => undefined
  const promise = new Promise<string>((resolve) => {
    end = resolve
  })
  let hasHappened = false
  const interrupt = (reason: string): void => {
    hasHappened = true
    end(reason)
  }
  const onAbort = (): void => interrupt('it was told to stop waiting')
  const onClose = (): void => interrupt('the connection was lost')
  const forgets = !client.isCluster && client.options.autoResendUnfulfilledCommands === false
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  const unlisten = forgets ? onClientEvent(client, 'close', onClose) : undefined
  return {
    promise,
    get hasHappened() {
      return hasHappened
    },
    dispose: () => {
      signal.removeEventListener('abort', onAbort)
      unlisten?.()
    },
  }
}
