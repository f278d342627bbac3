import type { Listen, StopListening } from './listen.ts'

const firstDelayMs = 100
const longestDelayMs = 10_000

/**
 * Keeps listening until it is disposed: a lost connection is taken up again, after a delay that doubles while the
 * server cannot be reached. Never throws; as long as it hears nothing, polling finds what is due.
 *
 * Resolves after the first attempt, whatever came of it. Hears an empty notification after each one that succeeded:
 * something may have been said before.
 */
export async function keepListening(
  listen: Listen,
  channel: string,
  hear: (payload: string) => void,
): Promise<AsyncDisposable> {
  let isDisposed = false
  let delayMs = firstDelayMs
  let timer: ReturnType<typeof setTimeout> | undefined
  let stop: StopListening | undefined

  const later = (): void => {
    stop = undefined
    if (isDisposed) return
    // a connection that dies while it begins to listen is both lost and failed: one new attempt is enough
    clearTimeout(timer)
    // jitter: many relays lose one server at the same moment
    timer = setTimeout(() => void attempt(), delayMs * (0.5 + Math.random()))
    timer.unref()
    delayMs = Math.min(delayMs * 2, longestDelayMs)
  }
  const attempt = async (): Promise<void> => {
    let stopThis: StopListening
    try {
      stopThis = await listen(channel, { onNotification: hear, onLost: later })
      if (isDisposed) return await stopThis()
    } catch {
      // not lost on anybody: the store's own statements meet the same server, and report what is wrong with it
      later()
      return
    }
    stop = stopThis
    delayMs = firstDelayMs
    hear('')
  }

  await attempt()
  return {
    async [Symbol.asyncDispose]() {
      isDisposed = true
      clearTimeout(timer)
      await stop?.()
    },
  }
}
