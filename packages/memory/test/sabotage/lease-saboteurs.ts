import type { DueEntry, Lease } from '@outbox/core'
import type { MemoryOutbox } from '../../src/index.ts'
import { heldLeases } from './held-leases.ts'
import type { Saboteur } from './run-check.ts'

/** Stores that grant what they must not, or count crashes wrongly. */
export const leaseSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'a join that comes again begins anew',
    sabotage: (store) => ({
      join: async (request) => {
        await store.release({ holder: request.holder, leases: [], leave: true })
        return store.join(request)
      },
    }),
    caughtBy: ['leases.join-again'],
  },
  {
    breaks: 'crashes are not counted',
    sabotage: (store) => ({
      acquire: async (request) => {
        const held = await heldLeases(store)
        for (const { holder } of request.evict) await clearNotes(store, held, holder)
        return store.acquire(request)
      },
    }),
    caughtBy: [
      'crashes.counted-on-take-over',
      'crashes.only-what-was-lent',
      'suspects.alone',
      'crashes.kept-without-outcome',
      'crashes.zombie-clears-no-notes',
      'suspects.older-than-the-crash',
    ],
  },
  {
    breaks: 'what a fetch lends is noted beside what was lent before',
    sabotage: (store) => {
      let most = 0
      return {
        fetch: async (request) => {
          most = Math.max(most, request.limit)
          return (await store.fetch({ ...request, limit: most })).slice(0, request.limit)
        },
      }
    },
    caughtBy: ['crashes.only-the-last-fetch'],
  },
  {
    breaks: 'entries with crashes are lent among others',
    sabotage: (store) => ({
      fetch: async (request) => {
        const batch = await store.fetch(request)
        if (!batch.some(({ crashes }) => crashes > 0)) return batch
        const rest = await store.fetchUnpublished(request.limit)
        const [suspect] = batch
        return suspect ? [...batch, ...rest.slice(1).map((entry) => ({ ...suspect, ...entry }))] : batch
      },
    }),
    caughtBy: ['suspects.alone'],
  },
  {
    breaks: 'a grant tells of nothing that relays died of',
    sabotage: (store) => ({
      acquire: async (request) => (await store.acquire(request)).map((lease) => ({ ...lease, hasSuspects: false })),
    }),
    caughtBy: ['suspects.told-on-grant', 'suspects.none-told-on-grant'],
  },
  {
    breaks: 'every grant is under suspicion',
    sabotage: (store) => ({
      acquire: async (request) => (await store.acquire(request)).map((lease) => ({ ...lease, hasSuspects: true })),
    }),
    caughtBy: ['suspects.told-on-grant', 'suspects.none-told-on-grant'],
  },
  {
    breaks: 'an entry is lent alone after one crash',
    sabotage: (store) => ({
      fetch: async (request) => {
        const batch = await store.fetch(request)
        return batch.some(({ crashes }) => crashes > 0) ? batch.slice(0, 1) : batch
      },
    }),
    caughtBy: ['crashes.in-company'],
  },
  {
    breaks: 'a crash is forgotten once it was lent',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).map((entry) => ({ ...entry, crashes: 0 })),
    }),
    caughtBy: ['crashes.counted-on-take-over', 'crashes.only-what-was-lent', 'crashes.leaving-in-the-middle'],
  },
  {
    breaks: 'a release keeps the notes of what was in flight',
    sabotage: (store) => ({
      release: async (request) => {
        if (request.leave) await store.release({ ...request, leases: [] })
        else await store.release(request)
      },
    }),
    caughtBy: ['crashes.not-after-release'],
  },
  {
    breaks: 'a settle keeps the notes of what it does not mention',
    sabotage: (store) => {
      const unsettled = new Set<string>()
      return {
        settle: async (request) => {
          const batch = await store.fetch({
            leases: request.leases,
            limit: 1e6,
            limitPerAggregate: 1e6,
            maxBytes: 1e12,
          })
          for (const { id } of batch) unsettled.add(id)
          for (const { entry } of request.settlements) unsettled.delete(entry.id)
          return store.settle(request)
        },
        fetch: async (request) =>
          (await store.fetch(request)).map((entry) => ({
            ...entry,
            crashes: entry.crashes + (unsettled.has(entry.id) ? 1 : 0),
          })),
      }
    },
    caughtBy: ['crashes.not-after-settle'],
  },
  {
    breaks: 'a settle without settlements does nothing at all',
    sabotage: (store) => ({
      settle: async (request) => (request.settlements.length === 0 ? { lost: [] } : store.settle(request)),
    }),
    caughtBy: ['crashes.not-after-empty-settle', 'crashes.lanes'],
  },
  {
    breaks: 'an entry with a crash is lent whatever its aggregate waits for',
    sabotage: (store) => {
      const inHand = new Map<string, DueEntry>()
      let suspects: readonly DueEntry[] = []
      return {
        acquire: async (request) => {
          if (request.evict.length > 0) suspects = [...inHand.values()]
          return store.acquire(request)
        },
        settle: async (request) => {
          for (const { entry } of request.settlements) inHand.delete(entry.id)
          return store.settle(request)
        },
        fetch: async (request) => {
          const batch = await store.fetch(request)
          for (const entry of batch) inHand.set(entry.id, entry)
          return batch.length > 0 ? batch : suspects.filter(({ id }) => inHand.has(id))
        },
      }
    },
    caughtBy: ['suspects.behind-a-block', 'suspects.behind-a-wait'],
  },
  {
    breaks: 'a settle clears the notes of all leases of its holder',
    sabotage: (store) => ({
      settle: async (request) => {
        const holders = new Set(request.leases.map(({ holder }) => holder))
        const held = await heldLeases(store)
        await store.settle({ leases: held.filter(({ holder }) => holders.has(holder)), settlements: [] })
        return store.settle(request)
      },
    }),
    caughtBy: ['crashes.lanes'],
  },
  {
    breaks: 'whatever is pending counts as in flight',
    sabotage: (store) => ({
      acquire: async (request) => {
        const held = (await heldLeases(store)).filter((lease) =>
          request.evict.some(({ holder }) => holder === lease.holder),
        )
        await store.fetch({ leases: held, limit: 1e6, limitPerAggregate: 1e6, maxBytes: 1e12 })
        return store.acquire(request)
      },
    }),
    caughtBy: ['crashes.not-without-fetch', 'crashes.only-what-was-lent', 'crashes.not-after-settle'],
  },
  {
    breaks: 'crashes survive a known outcome',
    sabotage: (store) => {
      const crashed = new Map<string, number>()
      return {
        fetch: async (request) =>
          (await store.fetch(request)).map((entry) => {
            const crashes = Math.max(entry.crashes, crashed.get(entry.id) ?? 0)
            crashed.set(entry.id, crashes)
            return { ...entry, crashes }
          }),
      }
    },
    caughtBy: ['crashes.reset-by-retry', 'crashes.reset-by-death'],
  },
  {
    breaks: 'a relay is evicted although its beat has moved',
    sabotage: (store) => ({
      acquire: async (request) => {
        const { relays } = await store.poll({ holder: '' })
        const evict = relays.filter(({ holder }) => request.evict.some((each) => each.holder === holder))
        return store.acquire({ ...request, evict })
      },
    }),
    caughtBy: ['leases.evict-only-a-still-beat'],
  },
  {
    breaks: 'nobody is ever evicted',
    sabotage: (store) => ({ acquire: (request) => store.acquire({ ...request, evict: [] }) }),
    caughtBy: ['leases.evict', 'crashes.counted-on-take-over', 'fencing.race'],
  },
  {
    breaks: 'claims are granted whatever epoch they name',
    sabotage: (store) => ({
      acquire: async (request) => {
        const { leases } = await store.poll({ holder: '' })
        const claims = request.claims.map((claim) => ({
          ...claim,
          epoch: leases[claim.partition]?.epoch ?? claim.epoch,
        }))
        return store.acquire({ ...request, claims })
      },
    }),
    caughtBy: ['leases.epoch-must-stand'],
  },
  {
    breaks: 'a claim takes the lease from its holder',
    sabotage: (store) => ({
      acquire: async (request) => {
        const held = await heldLeases(store)
        for (const { holder } of held) await store.release({ holder, leases: held, leave: false })
        return store.acquire(request)
      },
    }),
    caughtBy: ['leases.held', 'leases.evict-only-a-still-beat'],
  },
  {
    breaks: 'of many claimants at once, each is told that it has won',
    sabotage: (store) => ({
      acquire: async ({ holder, claims }) => {
        await store.acquire({ holder, claims, evict: [] })
        return claims.map(({ partition, epoch }) => ({ partition, epoch: epoch + 1, holder, hasSuspects: false }))
      },
    }),
    caughtBy: ['leases.contended', 'leases.held'],
  },
  {
    breaks: 'the epoch that the broker has seen is ignored',
    sabotage: (store) => ({
      acquire: (request) =>
        store.acquire({ ...request, claims: request.claims.map(({ partition, epoch }) => ({ partition, epoch })) }),
    }),
    caughtBy: ['leases.above'],
  },
  {
    breaks: 'a stranger joins by claiming',
    sabotage: (store) => ({
      acquire: async (request) => {
        await store.join(request)
        return store.acquire(request)
      },
      poll: async (request) => ({ ...(await store.poll(request)), isMember: true }),
    }),
    caughtBy: ['leases.stranger', 'leases.evict', 'leases.leave'],
  },
  {
    breaks: 'an epoch stays when the lease changes hands',
    sabotage: (store) => ({
      acquire: async (request) => (await store.acquire(request)).map((lease) => ({ ...lease, epoch: 0 })).toReversed(),
    }),
    caughtBy: ['leases.grant', 'leases.every-grant-raises'],
  },
  {
    breaks: 'a poll raises no beat, and sees only half of the leases',
    sabotage: (store) => ({
      poll: async (request) => {
        const { relays, leases, ...rest } = await store.poll(request)
        return { ...rest, relays: relays.map((relay) => ({ ...relay, beat: 0 })), leases: leases.slice(0, 32) }
      },
    }),
    caughtBy: ['leases.beat', 'leases.poll', 'fairness.every-partition', 'leases.evict'],
  },
  {
    breaks: 'every relay is told another source',
    sabotage: (store) => ({
      join: async (request) => {
        await store.join(request)
        return { source: request.holder }
      },
    }),
    caughtBy: ['leases.source', 'fencing.lease-on-entries'],
  },
  {
    breaks: 'a release gives nothing back',
    sabotage: (store) => ({ release: (request) => store.release({ ...request, leases: [] }) }),
    caughtBy: ['leases.release', 'leases.every-grant-raises', 'fencing.settle-after-release'],
  },
  {
    breaks: 'nobody can leave',
    sabotage: (store) => ({ release: (request) => store.release({ ...request, leave: false }) }),
    caughtBy: ['leases.leave', 'crashes.leaving-in-the-middle'],
  },
  {
    breaks: 'a release asks for the partition only',
    sabotage: (store) => ({
      release: async (request) => {
        for (const lease of await heldLeases(store)) {
          if (!request.leases.some(({ partition }) => partition === lease.partition)) continue
          await store.release({ holder: lease.holder, leases: [lease], leave: false })
        }
        await store.release(request)
      },
    }),
    caughtBy: ['leases.release-of-a-lost-lease'],
  },
  {
    breaks: 'a poll names every partition with a pending entry as due',
    sabotage: (store) => ({
      poll: async (request) => {
        const pending = await store.fetchUnpublished(1e6)
        return {
          ...(await store.poll(request)),
          duePartitions: [...new Set(pending.map(({ partition }) => partition))],
        }
      },
    }),
    caughtBy: ['leases.due-partitions'],
  },
  {
    breaks: 'a poll names only the partitions of the caller as due',
    sabotage: (store) => ({
      poll: async (request) => {
        const poll = await store.poll(request)
        const own = poll.leases.filter(({ holder }) => holder === request.holder).map(({ partition }) => partition)
        return { ...poll, duePartitions: poll.duePartitions.filter((partition) => own.includes(partition)) }
      },
    }),
    caughtBy: ['leases.due-partitions'],
  },
]

async function clearNotes(store: MemoryOutbox, held: readonly Lease[], holder: string): Promise<void> {
  await store.settle({ leases: held.filter((lease) => lease.holder === holder), settlements: [] })
}
