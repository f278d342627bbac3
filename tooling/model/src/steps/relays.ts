import type { DueEntry, Lease } from '@outbox/core'
import fc from 'fast-check'
import type { Memo } from '../pair.ts'
import { step } from '../step.ts'

/** more than there ever is */
const far = 1_000
const pick = fc.nat({ max: 1_000 })

const nextHolder = ({ holders }: Memo): string => `relay ${holders.length}`
const holderOf = ({ holders }: Memo, index: number): string => holders[index % Math.max(1, holders.length)] ?? 'nobody'

export const join = fc.constant(undefined).map(() =>
  step('join', [], (side, { memo }) => side.store.join({ holder: nextHolder(memo) }), {
    compared: ({ source }) => typeof source,
    after: (_real, _model, { memo }) => void memo.holders.push(nextHolder(memo)),
  }),
)

export const poll = pick.map((who) =>
  step('poll', [who], (side, pair) => side.store.poll({ holder: holderOf(pair.memo, who) }), {
    compared: ({ relays, leases, ...rest }) => ({
      ...rest,
      duePartitions: [...rest.duePartitions].sort((a, b) => a - b),
      relays: [...relays].sort((a, b) => (a.holder < b.holder ? -1 : 1)),
      leases: leases.filter(({ epoch }) => epoch > 0).sort((a, b) => a.partition - b.partition),
    }),
  }),
)

export const acquire = fc
  .record({
    who: pick,
    evictsOthers: fc.boolean(),
    wrongEpochs: fc.nat({ max: 9 }).map((n) => n === 0),
    above: fc.constantFrom(0, 0, 0, 7),
  })
  .map(({ who, evictsOthers, wrongEpochs, above }) =>
    step(
      'acquire',
      [who, evictsOthers, wrongEpochs, above],
      async (side, pair) => {
        const holder = holderOf(pair.memo, who)
        const { leases, relays } = await side.store.poll({ holder })
        return side.store.acquire({
          holder,
          claims: leases.map(({ partition, epoch }) => ({
            partition,
            // the one below might be told as granted to whoever holds it already: the answer to a claim that is said again
            epoch: wrongEpochs ? epoch + 5 : epoch,
            ...(above > 0 && { above }),
          })),
          evict: evictsOthers ? relays.filter((relay) => relay.holder !== holder) : [],
        })
      },
      { after: (granted, _model, { memo }) => void memo.leases.push(...granted) },
    ),
  )

/** The leases that a holder was granted last: some of them may be long gone. */
const leasesOf = (memo: Memo, who: number): readonly Lease[] => {
  const holder = holderOf(memo, who)
  const newest = new Map(
    memo.leases.filter((lease) => lease.holder === holder).map((lease) => [lease.partition, lease]),
  )
  return [...newest.values()]
}

const lentView = (entries: readonly DueEntry[]): unknown =>
  entries
    // the name is minted, and lateness is told as far as a store can tell
    .map(({ source: _source, isLate: _isLate, ...entry }) => entry)
    .sort((a, b) => (a.id < b.id ? -1 : 1))

export const fetch = fc
  .record({ who: pick, limitPerAggregate: fc.constantFrom(1, 2, 100) })
  .map(({ who, limitPerAggregate }) =>
    step(
      'fetch',
      [who, limitPerAggregate],
      (side, pair) =>
        side.store.fetch({ leases: leasesOf(pair.memo, who), limit: far, limitPerAggregate, maxBytes: 100_000_000 }),
      {
        compared: lentView,
        after: (real, model, { memo }) => {
          const byId = new Map(model.map((entry) => [entry.id, entry]))
          memo.batches.push({
            lent: real.map((entry) => ({ real: entry, model: byId.get(entry.id) ?? entry })),
            verdicts: undefined,
          })
        },
      },
    ),
  )

export const release = fc.record({ who: pick, leave: fc.boolean(), half: fc.boolean() }).map(({ who, leave, half }) =>
  step('release', [who, leave, half], (side, pair) =>
    side.store.release({
      holder: holderOf(pair.memo, who),
      leases: leasesOf(pair.memo, who).filter(({ partition }) => !half || partition % 2 === 0),
      leave,
    }),
  ),
)
