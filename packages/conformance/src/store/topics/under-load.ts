import { setImmediate } from 'node:timers/promises'
import type { DueEntry, Settlement } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import { expect } from 'vitest'
import { order } from '../../outbox/events.ts'
import { sequencesOf, upTo } from '../../outbox/facts.ts'
import type { StoreContext } from '../context.ts'
import type { StoreTopic } from '../store-check.ts'
import { allPartitions, dead, published, refused, startRelay, type TestRelay, takeOver } from '../test-relay.ts'

const ids = Array.from({ length: 12 }, (_, n) => `a-${n}`)

/** Many at once: what holds one by one holds together. */
export const underLoad: StoreTopic = {
  name: 'under load',
  keeps: 'order',
  checks: [
    {
      id: 'under-load.backlog',
      promise: 'a backlog of 5,000 entries is drained whole, each once, in order per aggregate',
      async run({ store, commit, expectEmpty }) {
        for (let n = 0; n < 5; n++) {
          await commit(Array.from({ length: 1000 }, (_, index) => order(`a-${index % 50}`)))
        }
        const relay = await startRelay(store)
        const lent = await relay.drain({ limit: 500, limitPerAggregate: 50 })
        expect(lent).toHaveLength(5000)
        const last = new Map<string, number>()
        for (const { aggregateId, sequence } of lent) {
          expect(sequence, aggregateId).toBe((last.get(aggregateId) ?? 0) + 1)
          last.set(aggregateId, sequence)
        }
        await expectEmpty()
      },
    },
    {
      id: 'under-load.order',
      promise: 'while producers commit and two relays drain, every entry is lent once, in order per aggregate',
      async run({ store, commit, peer, expectEmpty }) {
        const even = allPartitions.filter((partition) => partition % 2 === 0)
        const relays = [await startRelay(store, { partitions: even }), await startRelay(await peer())]
        const producing = produce(commit, 15)
        const relay = async (each: TestRelay): Promise<readonly DueEntry[]> => {
          const lent: DueEntry[] = []
          while (!producing.isOver()) {
            lent.push(...(await each.drain({ limit: 20, limitPerAggregate: 5 })))
            await setImmediate()
          }
          return [...lent, ...(await each.drain({ limit: 20 }))]
        }
        const [, ...lent] = await Promise.all([producing.done, ...relays.map(relay)])
        for (const id of ids) expect(sequencesOf(lent.flat(), id), id).toEqual(upTo(90))
        await expectEmpty()
      },
    },
    {
      id: 'under-load.failures',
      promise: 'while producers commit and the broker refuses again and again, every entry is published once, in order',
      async run({ store, commit, expectEmpty }) {
        const relay = await startRelay(store)
        const producing = produce(commit, 5)
        const chance = dice(1)
        const done: DueEntry[] = []
        for (;;) {
          const wasOver = producing.isOver()
          const batch = await relay.fetch({ limit: 30, limitPerAggregate: 4 })
          if (batch.length === 0 && wasOver) break
          const settlements = untilFirstFailure(batch, chance)
          await relay.settle(settlements)
          done.push(...settlements.filter(({ outcome }) => outcome === 'published').map(({ entry }) => entry))
          const buried = settlements.filter(({ outcome }) => outcome === 'dead').map(({ entry }) => entry.id)
          expect(await store.deadLetters.requeue(buried)).toBe(buried.length)
          await setImmediate()
        }
        await producing.done
        for (const id of ids) expect(sequencesOf(done, id), id).toEqual(upTo(30))
        await expectEmpty()
      },
    },
    {
      id: 'under-load.take-overs',
      promise:
        'while relays die and settle too late, every entry is published under a lease that stands, once, in order',
      async run({ store, commit, peer, expectEmpty }) {
        await commit(ids.flatMap((id) => Array.from({ length: 10 }, () => order(id))))
        const other = await peer()
        const chance = dice(2)
        const done: DueEntry[] = []
        let holder = await startRelay(store)
        for (let isDrained = false; !isDrained; ) {
          const batch = await holder.fetch({ limit: 10, limitPerAggregate: 3 })
          isDrained = batch.length === 0
          const settle = () => holder.settle(batch.map(published))
          const [lost, heir] = await settledAround(chance(), settle, () => takeOver(other, holder))
          const isLost = ({ lease }: DueEntry) => lost.some(({ partition }) => partition === lease.partition)
          done.push(...batch.filter((entry) => !isLost(entry)))
          holder = heir ?? holder
        }
        for (const id of ids) expect(sequencesOf(done, id), id).toEqual(upTo(10))
        await expectEmpty()
      },
    },
  ],
}

/** Three producers, each of which commits all aggregates twice per round. */
function produce(
  commit: StoreContext['commit'],
  rounds: number,
): { readonly done: Promise<void>; readonly isOver: () => boolean } {
  let isOver = false
  const one = async (): Promise<void> => {
    for (let n = 0; n < rounds; n++) {
      await commit([...ids, ...ids.toReversed()].map((id) => order(id)))
      await setImmediate() // so that a store that never waits for I/O takes turns too
    }
  }
  const done = Promise.all([one(), one(), one()]).then(
    () => {
      isOver = true
    },
    (error: unknown) => {
      isOver = true
      throw error
    },
  )
  return { done, isOver: () => isOver }
}

/** Per aggregate some entries that are published, then perhaps one that is refused or buried; the rest was not sent. */
function untilFirstFailure(batch: readonly DueEntry[], chance: () => number): readonly Settlement[] {
  const stopped = new Set<string>()
  return batch.flatMap((entry) => {
    if (stopped.has(aggregateKey(entry))) return []
    const luck = chance()
    if (luck > 0.3) return published(entry)
    stopped.add(aggregateKey(entry))
    if (luck > 0.15) return refused(entry, 0)
    return luck > 0.05 ? dead(entry, 'block') : []
  })
}

/** Settles before, beside, or after a take-over, or without one. */
async function settledAround<Lost, Heir>(
  luck: number,
  settle: () => Promise<Lost>,
  takeOverNow: () => Promise<Heir>,
): Promise<readonly [Lost, Heir | undefined]> {
  if (luck < 0.25) return [await settle(), await takeOverNow()]
  if (luck < 0.5) return Promise.all([settle(), takeOverNow()])
  if (luck < 0.7) {
    const heir = await takeOverNow()
    return [await settle(), heir]
  }
  return [await settle(), undefined]
}

/** Numbers from 0 to 1, the same ones each time. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
