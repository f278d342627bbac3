import { expect } from 'vitest'
import { order, orderIdsIn } from '../../outbox/events.ts'
import { places } from '../../places.ts'
import type { StoreTopic } from '../store-check.ts'
import { published, startRelay } from '../test-relay.ts'

/** What a batch may weigh. Payloads here are strings, so `n` characters are `n + 2` bytes of JSON. */
export const limitsTopic: StoreTopic = {
  name: 'limits',
  keeps: 'limits',
  checks: [
    {
      id: 'limits.max-bytes',
      promise: 'a batch never weighs more than its limit of payload bytes',
      async run({ store, commit }) {
        for (let n = 0; n < 10; n++) await commit(order('a', { payload: 'x'.repeat(98) }))
        const relay = await startRelay(store)
        expect(await relay.fetch({ maxBytes: 350 })).toHaveLength(3)
        expect(await relay.fetch({ maxBytes: 300 })).toHaveLength(3)
        expect(await relay.fetch({ maxBytes: 299 })).toHaveLength(2)
      },
    },
    {
      id: 'limits.larger-than-the-limit',
      promise: 'an entry larger than the limit of bytes is lent alone, and neither lost nor in the way for ever',
      async run({ store, commit }) {
        const [a = '', b = '', c = ''] = orderIdsIn(4, 3)
        for (const [id, size] of [
          [a, 10],
          [b, 5000],
          [c, 10],
          [b, 10],
        ] as const) {
          await commit(order(id, { payload: 'x'.repeat(size) }))
        }
        const relay = await startRelay(store)
        const batches: (readonly string[])[] = []
        for (;;) {
          const batch = await relay.fetch({ maxBytes: 1000 })
          if (batch.length === 0) break
          expect(batches.length, 'batches').toBeLessThan(4)
          batches.push(places(batch))
          await relay.settle(batch.map(published))
        }
        expect(batches).toContainEqual([`${b}#1`])
        expect(batches.flat().toSorted()).toEqual([`${a}#1`, `${b}#1`, `${b}#2`, `${c}#1`].toSorted())
      },
    },
    {
      id: 'limits.bytes-not-characters',
      promise: 'bytes are counted, not characters',
      async run({ store, commit }) {
        for (let n = 0; n < 3; n++) await commit(order('a', { payload: '😀'.repeat(100) })) // 402 bytes, 202 UTF-16 units
        const relay = await startRelay(store)
        expect(await relay.fetch({ maxBytes: 804 })).toHaveLength(2)
        expect(await relay.fetch({ maxBytes: 803 })).toHaveLength(1)
      },
    },
    {
      id: 'limits.prefix-under-bytes',
      promise: 'the limit of bytes cuts off the end of an aggregate, never an entry in its middle',
      async run({ store, commit }) {
        for (const size of [10, 900, 10, 900, 10]) await commit(order('a', { payload: 'x'.repeat(size) }))
        const relay = await startRelay(store)
        for (const maxBytes of [1, 20, 950, 1000, 5000]) {
          const lent = (await relay.fetch({ maxBytes })).map(({ sequence }) => sequence)
          expect(lent.length, `${maxBytes} bytes`).toBeGreaterThan(0)
          expect(lent, `${maxBytes} bytes`).toEqual([1, 2, 3, 4, 5].slice(0, lent.length))
        }
      },
    },
    {
      id: 'limits.no-leases',
      promise: 'a fetch under no lease lends nothing',
      async run({ store, commit }) {
        await commit(order('a'))
        const relay = await startRelay(store)
        expect(await relay.fetch({ leases: [] })).toEqual([])
      },
    },
    {
      id: 'limits.own-payload-limit',
      promise: 'a payload of exactly 1 MiB passes, unless the store is told otherwise',
      async run({ store, commit }) {
        const payload = 'x'.repeat(1_048_576 - 2)
        await commit(order('a', { payload }))
        const [entry] = await (await startRelay(store)).fetch()
        expect(entry?.payload.length).toBe(1_048_576)
        expect(entry?.payload === JSON.stringify(payload)).toBe(true)
      },
    },
  ],
}
