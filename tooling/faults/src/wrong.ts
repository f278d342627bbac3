import type { ReceivedEntry } from '@outbox/core/wire'
import type { StoreName } from '@outbox/end-to-end/stores'
import { isUnanswered } from '@outbox/end-to-end/system'
import type { RelayStats } from '@outbox/relay'
import type { Audit } from './audit.ts'
import type { Fault } from './faults.ts'
import type { Death } from './fleet.ts'
import type { Lab } from './lab.ts'
import { unexplainedRepeats } from './repeats.ts'
import { type Teller, toldBy } from './told.ts'

/** What a run has come to, for its judgement. */
export interface Outcome {
  readonly found: Audit
  /** entries that a broker had already and did not store again, as told by relays that ended in an orderly way */
  readonly dropped: number
  /** what was done to the system, and what it may come to */
  readonly fault: Pick<Fault, 'deadLetters' | 'isDeadly' | 'isClean' | 'struck'>
  readonly lab: Lab
  /** every relay that there has been: those of the lab, and whoever worked beside them */
  readonly relays: readonly Teller[]
  readonly stream: readonly ReceivedEntry[]
  /** ids that may come again for no other reason: a restored database has forgotten them */
  readonly excused: ReadonlySet<string>
}

/** A process that is slow to hear of its own timer is not a relay that misses its deadline. */
const stopGraceMs = 1_000

/** What is wrong with a run, in words; empty if nothing is. */
export function wrongIn(outcome: Outcome): readonly string[] {
  const { found, fault, lab, relays, stream, excused } = outcome
  const { lost, leaked, outOfOrder, altered = [], dead } = found
  const ids = {
    lost,
    leaked,
    'out of order': outOfOrder,
    'with the content of others': altered,
    'repeated without a cause': unexplainedRepeats(stream, relays, excused),
  }
  const errors = toldBy(relays, 'error')
  const stopMs = slowestStopMs(relays)
  const deadLetters = fault.deadLetters ?? 0
  const refusals = toldBy(relays, 'retry').filter(({ isRefusal, error }) => isRefusal === true && !isUnanswered(error))
  const deaths = lab.deaths.filter(
    (death) => !(fault.isDeadly && death.end.signal === 'SIGKILL') && !isOfDriver(lab.options.store, death),
  )
  return [
    ...Object.entries(ids).map(
      ([name, those]) => those.length > 0 && `${those.length} ${name}: ${those.slice(0, 3).join(', ')}`,
    ),
    dead !== deadLetters && `${dead} dead letters instead of ${deadLetters}`,
    deadLetters === 0 &&
      refusals.length > 0 &&
      `${refusals.length} attempts counted, though the broker refused nothing: ${JSON.stringify(refusals[0])}`,
    deaths[0] && `${deaths.length} processes ended by themselves (${JSON.stringify(deaths[0])})`,
    stopMs > lab.times.drainMs + stopGraceMs && `a relay took ${Math.round(stopMs)} ms to end`,
    errors.length > 0 && `a relay told of a defect: ${JSON.stringify(errors[0])}`,
    fault.struck?.(lab, stream) === false && 'nothing shows that the fault struck',
    fault.isClean === true && traceOfBreaking(outcome),
  ].filter((text): text is string => typeof text === 'string')
}

/** Of a fault that breaks nothing: what should not be there. */
function traceOfBreaking({ found: { repeats }, dropped, relays }: Outcome): string | false {
  const stored = repeats.echo + repeats.stepBack + repeats.unanswered
  const refused = sumOf(relays, 'settlesRefused')
  return (
    stored + dropped + refused > 0 &&
    `${stored} repeats stored, ${dropped} dropped and ${refused} settles refused, though nothing broke`
  )
}

/** postgres.js throws where nobody can catch it, when its server dies while it writes. */
export function isOfDriver(store: StoreName, { said }: Death): boolean {
  return store === 'postgres-js' && /Cannot read properties of null \(reading 'write'\)/.test(said)
}

/** From SIGTERM to the end of a relay's work; the slowest, 0 if none was told to end. */
export function slowestStopMs(relays: readonly Teller[]): number {
  return Math.max(0, ...toldBy(relays, 'stopped').map(({ afterMs }) => Number(afterMs)))
}

/** Over all relays that ended in an orderly way. */
export function sumOf(relays: readonly Teller[], counter: 'duplicates' | 'settlesRefused'): number {
  // as: written by `relay-process.ts`
  const all = toldBy(relays, 'stopped').map(({ stats }) => stats as RelayStats)
  return all.reduce((sum, stats) => sum + stats[counter], 0)
}
