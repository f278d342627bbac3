import type { MongoChangeStream } from './driver.ts'

const firstDelayMs = 100
const longestDelayMs = 10_000

/**
 * Keeps a change stream open until it is disposed, and calls `wake` for what it brings.
 *
 * A hint and nothing else: a stream whose history is lost, that is invalidated, or that the server does not offer is
 * opened anew from now on, after a delay that doubles; each time it is open `wake` is called, for something may have been
 * committed before. Polling finds what no stream tells. Never throws.
 *
 * Disposing ends the stream, and resolves when nothing is under way any more.
 */
export function keepWatching(open: () => MongoChangeStream, wake: () => void): AsyncDisposable {
  let isDisposed = false
  let delayMs = firstDelayMs
  let timer: ReturnType<typeof setTimeout> | undefined
  let stream: MongoChangeStream | undefined

  const read = async (): Promise<void> => {
    if (isDisposed) return
    try {
      stream = open()
      // resolves with the first event, or after a second without one: the stream is open
      await stream.tryNext()
      while (!isDisposed) {
        wake()
        await stream.next()
        delayMs = firstDelayMs // it has brought something: the next loss begins anew
      }
    } catch {
      // not lost on anybody: the store's own calls meet the same server, and report what is wrong with it
      await closed(stream)
      later()
    }
  }
  const later = (): void => {
    if (isDisposed) return
    // jitter: many relays lose one server at the same moment
    timer = setTimeout(
      () => {
        reading = read()
      },
      delayMs * (0.5 + Math.random()),
    )
    timer.unref()
    delayMs = Math.min(delayMs * 2, longestDelayMs)
  }

  let reading = read()
  return {
    async [Symbol.asyncDispose]() {
      isDisposed = true
      clearTimeout(timer)
      await closed(stream)
      await reading
    },
  }
}

/** A stream that cannot be closed any more is as good as closed. */
async function closed(stream: MongoChangeStream | undefined): Promise<void> {
  try {
    await stream?.close()
  } catch {
    // its connection is gone, and with it the cursor
  }
}
