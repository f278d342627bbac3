import type { Lease } from '@outbox/core'
import fc from 'fast-check'
import type { Memo } from '../pair.ts'
import { type Step, step } from '../step.ts'

const pick = fc.nat({ max: 1_000 })

const nextHolder = ({ holders }: Memo): string => `relay ${holders.length}`
const holderOf = ({ holders }: Memo, index: number): string => holders[index % Math.max(1, holders.length)] ?? 'nobody'

export const joining: Step = step('join', [], (side, { memo }) => side.store.join({ holder: nextHolder(memo) }), {
  compared: ({ source }) => typeof source,
  after: (_real, _model, { memo }) => void memo.holders.push(nextHolder(memo)),
})
export const join = fc.constant(joining)

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

interface Acquiring {
  readonly who: number
  readonly evictsOthers: boolean
  readonly wrongEpochs: boolean
  readonly above: number
}

export function acquiring({ who, evictsOthers, wrongEpochs, above }: Acquiring): Step {
  return step(
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
  )
}

export const acquire = fc
  .record({
    who: pick,
    evictsOthers: fc.boolean(),
    wrongEpochs: fc.nat({ max: 9 }).map((n) => n === 0),
    above: fc.constantFrom(0, 0, 0, 7),
  })
  .map(acquiring)

/** The leases that a holder was granted last: some of them may be long gone. */
export const leasesOf = (memo: Memo, who: number): readonly Lease[] => {
  const holder = holderOf(memo, who)
  const newest = new Map(
    memo.leases.filter((lease) => lease.holder === holder).map((lease) => [lease.partition, lease]),
  )
  return [...newest.values()]
}

export const release = fc.record({ who: pick, leave: fc.boolean(), half: fc.boolean() }).map(({ who, leave, half }) =>
  step('release', [who, leave, half], (side, pair) =>
    side.store.release({
      holder: holderOf(pair.memo, who),
      leases: leasesOf(pair.memo, who).filter(({ partition }) => !half || partition % 2 === 0),
      leave,
    }),
  ),
)
