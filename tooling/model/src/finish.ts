import { end } from './open-pairs.ts'
import type { Pair } from './pair.ts'
import type { Step } from './step.ts'
import { fetching } from './steps/fetching.ts'
import { counting, listing, looking } from './steps/operators.ts'
import { purging } from './steps/purging.ts'
import { acquiring, joining } from './steps/relays.ts'
import { settling } from './steps/settling.ts'

/** What remains comes out the same: a new relay publishes all that is due, and all looks are compared. */
export async function finish(pair: Pair): Promise<void> {
  const run = (step: Step): Promise<void> => step.run({}, pair)
  for (const transaction of [...pair.memo.open]) await end(pair, transaction, 'commit')
  await run(joining)
  const who = pair.memo.holders.length - 1
  await run(acquiring({ who, evictsOthers: true, wrongEpochs: false, above: 0 }))
  do {
    await run(fetching(who, 100))
    await run(settling('last', ['published']))
  } while (pair.memo.batches.at(-1)?.lent.length)
  for (const step of [looking, counting, listing({}), purging(true), looking]) await run(step)
}
