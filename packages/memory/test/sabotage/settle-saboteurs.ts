import { type DueEntry, type Lease, partitionOf, type Settlement } from '@outbox/core'
import type { MemoryOutbox } from '../../src/index.ts'
import { heldLeases } from './held-leases.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that forget what they were told of an entry, or believe it from anybody. */
export const settleSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'only the retried entry waits, not its aggregate',
    sabotage: (store) => {
      const waiting = new Set<string>()
      return {
        settle: async (request) => {
          const rest = request.settlements.filter((each) => {
            const waits = each.outcome === 'retry' && each.retryInMs > 1000
            if (waits) waiting.add(each.entry.id)
            return !waits
          })
          return store.settle({ ...request, settlements: rest })
        },
        fetch: async (request) => (await store.fetch(request)).filter(({ id }) => !waiting.has(id)),
      }
    },
    caughtBy: ['order.head-waits', 'waiting.alone', 'leases.due-partitions'],
  },
  {
    breaks: 'nobody ever waits',
    sabotage: (store) => settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, retryInMs: 0 } : each)),
    caughtBy: ['waiting.persisted', 'waiting.long', 'order.head-waits'],
  },
  {
    breaks: 'who waits, waits for ever',
    hangs: ['waiting.ends-by-itself'],
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, retryInMs: 1e12 } : each)),
    caughtBy: ['waiting.at-once', 'waiting.ends-by-itself', 'waiting.over-when-published', 'settling.refusals-counted'],
  },
  {
    breaks: 'outages count as refusals',
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, isRefusal: true } : each)),
    caughtBy: ['settling.outages-not-counted'],
  },
  {
    breaks: 'refusals are not counted',
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, isRefusal: false } : each)),
    caughtBy: ['settling.refusals-counted', 'settling.own-attempts', 'settling.retry-counts-once', 'dead-letters.list'],
  },
  {
    breaks: 'the dead block nobody',
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'dead' ? { ...each, blocksAggregate: false } : each)),
    caughtBy: [
      'order.block',
      'order.late-commit-into-a-blocked-aggregate',
      'order.block-in-the-middle',
      'dead-letters.discard',
    ],
  },
  {
    breaks: 'the dead always block',
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'dead' ? { ...each, blocksAggregate: true } : each)),
    caughtBy: ['order.after-skip', 'settling.several-outcomes', 'dead-letters.requeue-wakes-the-aggregate'],
  },
  {
    breaks: 'the dead are published',
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'dead' ? { entry: each.entry, outcome: 'published' } : each)),
    caughtBy: [
      'dead-letters.list',
      'dead-letters.pages',
      'dead-letters.odd-reasons',
      'upkeep.age-of-the-living',
      'exactness.text',
    ],
  },
  {
    breaks: 'what was said before a requeue counts after it',
    sabotage: (store) => {
      const requeues = new Map<string, number>()
      return {
        ...settlingWith(store, ({ entry, ...said }) => {
          const times = requeues.get(entry.id)
          return { ...said, entry: times ? { ...entry, deduplicationId: `${entry.id}#${times}` } : entry }
        }),
        deadLetters: {
          ...store.deadLetters,
          requeue: async (ids) => {
            for (const id of ids) requeues.set(id, (requeues.get(id) ?? 0) + 1)
            return store.deadLetters.requeue(ids)
          },
        },
      }
    },
    caughtBy: ['settling.before-a-requeue'],
  },
  {
    breaks: 'what is published goes before what was said first',
    sabotage: (store) => ({
      settle: (request) => {
        const isPublished = ({ outcome }: Settlement): boolean => outcome === 'published'
        const settlements = request.settlements.toSorted((a, b) => Number(isPublished(b)) - Number(isPublished(a)))
        return store.settle({ ...request, settlements })
      },
    }),
    caughtBy: ['settling.first-word'],
  },
  {
    breaks: 'settle changes nothing',
    sabotage: (store) => settlingWith(store, () => undefined),
    caughtBy: ['settling.published', 'fencing.take-over-is-complete', 'under-load.backlog'],
  },
  {
    breaks: 'a settle without settlements publishes what was lent',
    sabotage: (store) => {
      let lent: readonly DueEntry[] = []
      return {
        fetch: async (request) => {
          lent = await store.fetch(request)
          return lent
        },
        settle: (request) =>
          store.settle(
            request.settlements.length > 0
              ? request
              : { ...request, settlements: lent.map((entry) => ({ entry, outcome: 'published' })) },
          ),
      }
    },
    caughtBy: ['settling.nothing'],
  },
  {
    breaks: 'a fraction of a millisecond is no number to the database',
    sabotage: (store) => ({
      settle: async (request) => {
        for (const each of request.settlements) if (each.outcome === 'retry') BigInt(each.retryInMs)
        return store.settle(request)
      },
    }),
    caughtBy: ['waiting.fraction'],
  },
  {
    breaks: 'the evicted are told that all is lost, and their settlements count',
    sabotage: (store) => ({
      settle: async (request) => {
        const { lost } = await store.settle(request)
        const { relays } = await store.poll({ holder: '' })
        const isMember = (lease: Lease): boolean => relays.some(({ holder }) => holder === lease.holder)
        return { lost: [...lost, ...request.leases.filter((lease) => !lost.includes(lease) && !isMember(lease))] }
      },
    }),
    caughtBy: ['fencing.settle-by-the-evicted'],
  },
  {
    breaks: 'a settle voids everything when one lease is lost',
    sabotage: (store) => ({
      settle: async (request) => {
        const { lost } = await store.settle({ ...request, settlements: [] })
        return lost.length > 0 ? { lost } : store.settle(request)
      },
    }),
    caughtBy: ['fencing.partial'],
  },
  {
    breaks: 'settle never says what was lost',
    sabotage: (store) => ({
      settle: async (request) => {
        await store.settle(request)
        return { lost: [] }
      },
    }),
    caughtBy: [
      'fencing.settle-under-older-epoch',
      'fencing.settle-under-other-holder',
      'fencing.settle-after-release',
      'fencing.partial',
    ],
  },
  {
    breaks: 'settle compares the holder alone, not the epoch',
    sabotage: (store) => ({
      settle: async (request) => {
        const standing = await heldLeases(store)
        const newest = (lease: Lease): Lease =>
          standing.find(({ partition, holder }) => partition === lease.partition && holder === lease.holder) ?? lease
        const settlements = request.settlements.map((each) => ({
          ...each,
          entry: { ...each.entry, lease: newest(each.entry.lease) },
        }))
        const { lost } = await store.settle({ leases: request.leases.map(newest), settlements })
        return { lost }
      },
    }),
    caughtBy: ['fencing.settle-under-own-older-epoch'],
  },
  {
    breaks: 'settle ignores epoch and holder',
    sabotage: (store) => ({
      settle: async (request) => {
        const { lost } = await store.settle({ ...request, settlements: [] })
        const standing = await heldLeases(store)
        const under = (entry: DueEntry): DueEntry => ({
          ...entry,
          lease: standing.find(({ partition }) => partition === entry.lease.partition) ?? entry.lease,
        })
        const settlements = request.settlements.map((each) => ({ ...each, entry: under(each.entry) }))
        await store.settle({ leases: standing, settlements })
        return { lost }
      },
    }),
    caughtBy: [
      'fencing.settle-under-older-epoch',
      'fencing.settle-under-other-holder',
      'crashes.zombie-clears-no-notes',
      'fencing.race',
      'under-load.take-overs',
    ],
  },
  {
    breaks: 'settle believes any lease that stands, whatever partition the entry is in',
    sabotage: (store) => ({
      settle: async (request) => {
        const standing = await heldLeases(store)
        const settlements = request.settlements.map((each) => {
          const { entry } = each
          const isStanding = standing.some(
            ({ epoch, holder }) => epoch === entry.lease.epoch && holder === entry.lease.holder,
          )
          const own = standing.find(
            ({ partition }) => partition === partitionOf(entry.aggregateType, entry.aggregateId),
          )
          return isStanding && own ? { ...each, entry: { ...entry, lease: own } } : each
        })
        return store.settle({ ...request, settlements })
      },
    }),
    caughtBy: ['fencing.settle-under-another-partition'],
  },
  {
    breaks: 'settle counts for any attempt',
    sabotage: (store) => ({
      settle: async (request) => {
        const current = await store.fetch({
          leases: request.leases,
          limit: 1e6,
          limitPerAggregate: 1e6,
          maxBytes: 1e12,
        })
        return store.settle({
          ...request,
          settlements: request.settlements.map((each) => {
            const attempt = current.find(({ id }) => id === each.entry.id)?.attempt ?? each.entry.attempt
            return { ...each, entry: { ...each.entry, attempt } }
          }),
        })
      },
    }),
    caughtBy: ['settling.retry-counts-once', 'settling.old-attempt'],
  },
]

function settlingWith(
  store: MemoryOutbox,
  change: (settlement: Settlement) => Settlement | undefined,
): Pick<MemoryOutbox, 'settle'> {
  return {
    settle: (request) =>
      store.settle({ ...request, settlements: request.settlements.flatMap((each) => change(each) ?? []) }),
  }
}
