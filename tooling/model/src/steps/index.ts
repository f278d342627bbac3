import type fc from 'fast-check'
import type { Step } from '../step.ts'
import { fetch } from './fetching.ts'
import { deadLetters, markPublished, upkeep } from './operators.ts'
import { transaction } from './producers.ts'
import { acquire, join, poll, release } from './relays.ts'
import { settle } from './settling.ts'
import { beginning, ended, writing } from './transactions.ts'

const relays: readonly fc.Arbitrary<Step>[] = [
  join,
  poll,
  acquire,
  acquire,
  fetch,
  fetch,
  fetch,
  settle,
  settle,
  settle,
  release,
  deadLetters,
  upkeep,
]

/** What relays and operators do, in the proportions in which histories grow interesting. */
export const leasedSteps: readonly fc.Arbitrary<Step>[] = [transaction, transaction, transaction, ...relays]

/** The same beside transactions that stay open. */
export const interleavedSteps: readonly fc.Arbitrary<Step>[] = [
  beginning,
  beginning,
  writing,
  writing,
  writing,
  writing,
  ended,
  ended,
  ...relays,
]

/** The trait alone. What it does to aggregates that wait for a relay is left open, so the two are not mixed. */
export const traitSteps: readonly fc.Arbitrary<Step>[] = [transaction, transaction, markPublished, upkeep]
