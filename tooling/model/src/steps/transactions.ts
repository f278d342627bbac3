import fc from 'fast-check'
import { begin, end, write } from '../open-pairs.ts'
import { ownStep } from '../step.ts'
import { ending, events } from './producers.ts'

const mostOpen = 3
const pick = fc.nat({ max: 1_000 })

export const beginning = fc.constant(undefined).map(() =>
  ownStep('begin', [], async (pair) => {
    if (pair.memo.open.length < mostOpen) await begin(pair)
  }),
)

/** Into one that is open, or a new one where none is. */
export const writing = fc
  .tuple(pick, events, ending)
  .map(([which, batch, othersEnd]) =>
    ownStep('write', [which, batch, othersEnd], async (pair) =>
      write(pair, pair.memo.open[which % pair.memo.open.length] ?? (await begin(pair)), batch, othersEnd),
    ),
  )

export const ended = fc.tuple(pick, ending).map(([which, how]) =>
  ownStep('end', [which, how], async (pair) => {
    const transaction = pair.memo.open[which % pair.memo.open.length]
    if (transaction) await end(pair, transaction, how)
  }),
)
