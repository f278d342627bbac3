import { event } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo, waitFor } from '@outbox/services'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { MongoChangeStream } from '../src/driver.ts'
import { keepWatching } from '../src/wake.ts'
import { openDriver7, transaction } from './mongo-databases.ts'

describeWith('mongo', 'waking up', () => {
  it('a commit of another process wakes, also after the collection was dropped and made again', async () => {
    const url = await sharedMongo()
    await using own = openDriver7(url)
    await using other = openDriver7(url, own.db.databaseName)
    await setup(own.db)
    const producer = mongoOutbox(other)
    const commit = () =>
      transaction(other.client, (session) =>
        producer.enqueue(session, event('order.placed', { aggregateId: 'a', payload: {} })),
      )
    let wakes = 0
    await using _ = await mongoOutbox(own).subscribe(() => void wakes++)
    await waitFor(() => wakes > 0, { what: 'the stream to be open' })
    const heard = async (): Promise<void> => {
      const before = wakes
      await commit()
      await waitFor(() => wakes > before, { what: 'a wake-up' })
    }
    await heard()
    const before = wakes
    await other.db.command({ drop: 'outbox_entries' } as never)
    await setup(other.db)
    await waitFor(() => wakes > before, { what: 'the invalidated stream to be open again' })
    await heard()
  })

  it('nothing is watched where the option says so', async () => {
    await using own = openDriver7(await sharedMongo())
    let watched = 0
    const collection = own.db.collection.bind(own.db)
    Reflect.set(own.db, 'collection', (name: string, options?: never) => {
      const found = collection(name, options)
      Reflect.set(found, 'watch', () => {
        watched += 1
        return stream([], 'none')
      })
      return found
    })
    for (const [watch, expected] of [
      [false, 0],
      [true, 1],
    ] as const) {
      const outbox = mongoOutbox({ client: own.client, db: own.db, watch })
      await (await outbox.subscribe(() => undefined))[Symbol.asyncDispose]()
      expect(watched, `watch: ${watch}`).toBe(expected)
    }
  })
})

describe('a change stream', () => {
  const historyLost = Object.assign(new Error('the resume point may no longer be in the oplog'), { code: 286 })

  it('whose history is lost is opened anew, and wakes', async () => {
    const opened: string[] = []
    let wakes = 0
    const streams = [
      stream([event1, historyLost], 'lost'),
      stream([historyLost], 'lost at once'),
      stream([event1, event1], 'good'),
    ]
    await using _ = keepWatching(
      () => {
        const next = streams.shift() ?? stream([], 'more')
        opened.push(next.name)
        return next
      },
      () => void wakes++,
    )
    await waitFor(() => wakes === 3, { what: 'the good stream to bring both of its events' })
    expect(opened).toEqual(['lost', 'lost at once', 'good'])
  })

  it('that cannot be opened is tried again, and disposing ends that too', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    let tries = 0
    let wakes = 0
    const watching = keepWatching(
      () => {
        tries += 1
        return stream([Object.assign(new Error('change streams are not available'), { code: 40573 })], 'none')
      },
      () => void wakes++,
    )
    await vi.advanceTimersByTimeAsync(60_000)
    expect(tries).toBeGreaterThan(1)
    const ended = watching[Symbol.asyncDispose]()
    await vi.advanceTimersByTimeAsync(60_000)
    await ended
    const triesBefore = tries
    await vi.advanceTimersByTimeAsync(60_000)
    expect([tries, wakes]).toEqual([triesBefore, 0])
  })

  it('is closed when it is disposed of', async () => {
    const open = stream([], 'idle')
    await keepWatching(
      () => open,
      () => undefined,
    )[Symbol.asyncDispose]()
    expect(open.isClosed()).toBe(true)
  })
})

const event1 = {}

/** Brings events, throws errors, and then waits until it is closed. */
function stream(
  script: readonly object[],
  name: string,
): MongoChangeStream & { readonly name: string; isClosed(): boolean } {
  const left = [...script]
  let isClosed = false
  let end: (error: Error) => void = () => undefined
  const ended = new Promise<never>((_, reject) => {
    end = reject
  })
  ended.catch(() => undefined)
  const next = async (): Promise<unknown> => {
    const one = left.shift()
    if (one instanceof Error) throw one
    return one ?? ended
  }
  return {
    name,
    isClosed: () => isClosed,
    tryNext: next,
    next,
    async close() {
      isClosed = true
      end(new Error('ChangeStream is closed'))
      return undefined
    },
  }
}
