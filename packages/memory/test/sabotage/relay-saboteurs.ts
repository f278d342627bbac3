import type { DueEntry, Lease, Settlement } from '@outbox/core'
import type { MemoryOutbox } from '../../src/index.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that lend the wrong entries, under the wrong lease, or forget what they were told. */
export const relaySaboteurs: readonly Saboteur[] = [
  {
    breaks: 'fetch orders by position alone',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, limit: 1e6, limitPerAggregate: 1e6, maxBytes: 1e12 })
        const positions = (await store.fetchUnpublished(1e6)).map(({ id }) => id)
        const inOrder = all.toSorted((a, b) => positions.indexOf(a.id) - positions.indexOf(b.id))
        return inOrder.slice(0, request.limit)
      },
    }),
    caughtBy: ['order.two-enqueues-reversed', 'order.prefix-by-sequence', 'order.waited', 'order.prefix-of-all'],
  },
  {
    breaks: 'fetch orders by id',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    }),
    caughtBy: ['order.one-enqueue-reversed', 'order.two-enqueues-reversed', 'order.waited'],
  },
  {
    breaks: 'fetch gives the newest first',
    sabotage: (store) => ({ fetch: async (request) => (await store.fetch(request)).toReversed() }),
    caughtBy: ['order.ascending-in-a-batch', 'order.oldest-first', 'numbering.given', 'upkeep.backlog'],
  },
  {
    breaks: 'a fetch under no lease lends everything',
    sabotage: (store) => ({
      fetch: async (request) =>
        store.fetch({ ...request, leases: request.leases.length > 0 ? request.leases : await heldLeases(store) }),
    }),
    caughtBy: ['limits.no-leases'],
  },
  {
    breaks: 'fetch remembers how far it has read',
    sabotage: (store) => {
      const seen = new Set<string>()
      return {
        fetch: async (request) => {
          const batch = (await store.fetch(request)).filter(({ id }) => !seen.has(id))
          for (const { id } of batch) seen.add(id)
          return batch
        },
      }
    },
    caughtBy: ['order.repeatable', 'order.head-unsettled', 'waiting.at-once', 'dead-letters.requeue'],
  },
  {
    breaks: 'fetch passes over what was committed below its highest position',
    sabotage: (store) => {
      let highest = -1
      let known: string[] = []
      return {
        fetch: async (request) => {
          const rows = await store.fetchUnpublished(1e6)
          known = [...known, ...rows.map(({ id }) => id).filter((id) => !known.includes(id))]
          const isNew = (id: string): boolean => known.indexOf(id) > highest
          const batch = (await store.fetch(request)).filter(({ id, aggregateId }) => isNew(id) && aggregateId !== 'late')
          highest = Math.max(highest, ...batch.map(({ id }) => known.indexOf(id)))
          return batch
        },
      }
    },
    caughtBy: ['order.late-commit-is-found'],
  },
  {
    breaks: 'the limit per aggregate is ignored',
    sabotage: (store) => ({ fetch: (request) => store.fetch({ ...request, limitPerAggregate: 1e6 }) }),
    caughtBy: ['fairness.limit', 'fairness.hot-aggregate', 'order.prefix-by-sequence'],
  },
  {
    breaks: 'the limit is ignored',
    sabotage: (store) => ({ fetch: (request) => store.fetch({ ...request, limit: 1e6 }) }),
    caughtBy: ['fairness.limit', 'order.prefix-by-sequence', 'order.oldest-first'],
  },
  {
    breaks: 'the limit of bytes is ignored',
    sabotage: (store) => ({ fetch: (request) => store.fetch({ ...request, maxBytes: 1e12 }) }),
    caughtBy: ['limits.max-bytes', 'limits.larger-than-the-limit', 'limits.bytes-not-characters'],
  },
  {
    breaks: 'bytes are counted as characters',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, maxBytes: 1e12 })
        let size = 0
        return all.filter(({ payload }, index) => (size += payload.length) <= request.maxBytes || index === 0)
      },
    }),
    caughtBy: ['limits.bytes-not-characters'],
  },
  {
    breaks: 'what is too large is passed over, and what follows it is lent',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, maxBytes: 1e12 })
        let size = 0
        return all.filter(({ payload }) => {
          const fits = size + payload.length <= request.maxBytes
          if (fits) size += payload.length
          return fits
        })
      },
    }),
    caughtBy: ['limits.prefix-under-bytes', 'limits.larger-than-the-limit'],
  },
  {
    breaks: 'a full partition keeps the others out',
    sabotage: (store) => ({
      fetch: async (request) => {
        const all = await store.fetch({ ...request, limit: 1e6 })
        const positions = (await store.fetchUnpublished(1e6)).map(({ id }) => id)
        return all.toSorted((a, b) => positions.indexOf(a.id) - positions.indexOf(b.id)).slice(0, request.limit)
      },
    }),
    caughtBy: ['fairness.hot-partition'],
  },
  {
    breaks: 'blocked and waiting entries fill the batch',
    sabotage: (store) => ({
      fetch: async (request) => {
        const first = (await store.fetchUnpublished(request.limit)).map(({ id }) => id)
        return (await store.fetch(request)).filter(({ id }) => first.includes(id))
      },
    }),
    caughtBy: ['fairness.blocked-backlog', 'fairness.waiting-backlogs'],
  },
  {
    breaks: 'a relay is lent entries of partitions that others hold',
    sabotage: (store) => ({
      fetch: async (request) => {
        const { leases } = await store.poll({ holder: '' })
        const all = leases.flatMap((lease) => (lease.holder === null ? [] : [{ ...lease, holder: lease.holder }]))
        return request.leases.length > 0 ? store.fetch({ ...request, leases: all }) : []
      },
    }),
    caughtBy: ['fairness.only-leased-partitions', 'fencing.fetch'],
  },
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
    caughtBy: ['waiting.persisted', 'waiting.ends-by-itself', 'waiting.long', 'order.head-waits'],
  },
  {
    breaks: 'who waits, waits for ever',
    sabotage: (store) => settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, retryInMs: 1e12 } : each)),
    caughtBy: ['waiting.at-once', 'waiting.ends-by-itself', 'waiting.over-when-published', 'settling.refusals-counted'],
  },
  {
    breaks: 'outages count as refusals',
    sabotage: (store) => settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, isRefusal: true } : each)),
    caughtBy: ['settling.outages-not-counted'],
  },
  {
    breaks: 'refusals are not counted',
    sabotage: (store) => settlingWith(store, (each) => (each.outcome === 'retry' ? { ...each, isRefusal: false } : each)),
    caughtBy: ['settling.refusals-counted', 'settling.own-attempts', 'settling.retry-counts-once', 'dead-letters.list'],
  },
  {
    breaks: 'the dead block nobody',
    sabotage: (store) =>
      settlingWith(store, (each) => (each.outcome === 'dead' ? { ...each, blocksAggregate: false } : each)),
    caughtBy: ['order.block', 'order.block-in-the-middle', 'dead-letters.discard'],
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
    caughtBy: ['dead-letters.list', 'dead-letters.pages', 'dead-letters.odd-reasons', 'upkeep.age-of-the-living', 'exactness.text'],
  },
  {
    breaks: 'settle changes nothing',
    sabotage: (store) => settlingWith(store, () => undefined),
    caughtBy: ['settling.published', 'fencing.take-over-is-complete', 'upkeep.backlog'],
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
    ],
  },
  {
    breaks: 'settle counts for any attempt',
    sabotage: (store) => ({
      settle: async (request) => {
        const current = await store.fetch({ leases: request.leases, limit: 1e6, limitPerAggregate: 1e6, maxBytes: 1e12 })
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
  {
    breaks: 'isLate is never said',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).map((entry) => ({ ...entry, isLate: false })),
    }),
    caughtBy: ['order.late-sequence'],
  },
  {
    breaks: 'everything requeued is called late',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({ ...entry, isLate: entry.deduplicationId.includes('#') })),
    }),
    caughtBy: ['dead-letters.requeue-is-not-late', 'dead-letters.requeue', 'order.late-sequence'],
  },
  {
    breaks: 'the payload is cut at U+0000',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({ ...entry, payload: entry.payload.split('\\u0000')[0] ?? '' })),
    }),
    caughtBy: ['exactness.nul'],
  },
  {
    breaks: 'times are kept in seconds, header names in small letters, ids without blanks',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({
          ...entry,
          aggregateId: entry.aggregateId.trim(),
          eventType: entry.eventType.normalize('NFD'),
          payload: entry.payload.normalize('NFC').replace('\\ud83d', '\ufffd').replace('e+21', 'e21').replace('{}', 'null'),
          occurredAt: new Date(Math.floor(entry.occurredAt.getTime() / 1000) * 1000),
          headers: Object.fromEntries(Object.entries(entry.headers).map(([name, text]) => [name.toLowerCase(), text])),
        })),
    }),
    caughtBy: [
      'exactness.text',
      'exactness.lone-surrogate',
      'exactness.numbers',
      'exactness.shapes',
      'exactness.dates',
      'exactness.ids',
      'exactness.types',
      'exactness.headers',
    ],
  },
  {
    breaks: 'long payloads and deep ones are cut, numbers rounded',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({
          ...entry,
          payload: entry.payload.replace('[{"in":"bottom"}]', '[]').replace('["bottom"]', '[]').slice(0, 500_000),
          sequence: Math.fround(entry.sequence),
        })),
    }),
    caughtBy: [
      'exactness.large-payload',
      'exactness.deep-payload',
      'exactness.big-sequences',
      'limits.own-payload-limit',
      'numbering.given',
    ],
  },
  {
    breaks: 'the entries that are lent share their dates with the outbox',
    sabotage: (store) => {
      const dates = new Map<string, Date>()
      return {
        fetch: async (request) =>
          (await store.fetch(request)).map((entry) => {
            const occurredAt = dates.get(entry.id) ?? entry.occurredAt
            dates.set(entry.id, occurredAt)
            return { ...entry, occurredAt }
          }),
      }
    },
    caughtBy: ['exactness.copies'],
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

async function heldLeases(store: MemoryOutbox): Promise<readonly Lease[]> {
  const { leases } = await store.poll({ holder: '' })
  return leases.flatMap((lease) => (lease.holder === null ? [] : [{ ...lease, holder: lease.holder }]))
}
