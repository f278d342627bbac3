import { storeNames } from '@outbox/end-to-end/stores'
import { casesOf, publishers } from './choose.ts'
import { faults } from './faults.ts'
import { timing } from './lab.ts'
import { nameOf } from './record.ts'
import type { Result } from './run.ts'
import { tableOf } from './table.ts'

const begin = '<!-- written by `pnpm faults --page`: begin -->'
const end = '<!-- end -->'

/** The page with the figures of these runs in the place between its two marks. */
export function withFigures(page: string, results: readonly Result[]): string {
  const from = page.indexOf(begin)
  const to = page.indexOf(end, from)
  if (from < 0 || to < 0) throw new Error('the page has no place for figures')
  return `${page.slice(0, from + begin.length)}\n\n${figuresOf(results)}\n\n${page.slice(to)}`
}

export function figuresOf(results: readonly Result[]): string {
  return [summaryOf(results), ...(results.length === 0 ? [] : [tableOf(results)]), faultList()].join('\n\n')
}

function summaryOf(results: readonly Result[]): string {
  if (results.length === 0) return 'No figures of this version stand here yet.'
  const sum = (figure: (result: Result) => number): number => results.reduce((all, result) => all + figure(result), 0)
  const dates = results.map(({ at }) => at.slice(0, 10)).sort()
  const cases = casesOf({})
  const missing = cases.filter(
    (one) => !results.some((result) => nameOf(result) === nameOf({ ...one, fault: one.fault.name })),
  )
  const broken = results.filter(({ wrong }) => wrong.length > 0)
  const unique = (texts: readonly string[]): string => [...new Set(texts)].sort().join(', ')
  return [
    `- ${results.length} of ${cases.length} runs, ${dates[0]} to ${dates.at(-1)}, ${Math.round(sum(({ seconds }) => seconds) / 60)} minutes in all`,
    `- ${sum(({ entries }) => entries)} entries, ${sum(({ injected }) => injected)} faults, ${sum(({ kills }) => kills)} SIGKILLs, ${Math.round(sum(({ entriesPerSecond, seconds }) => entriesPerSecond * seconds) / sum(({ seconds }) => seconds))} entries per second committed under load`,
    `- lost ${sum(({ lost }) => lost.length)}, out of order ${sum(({ outOfOrder }) => outOfOrder.length)}, leaked ${sum(({ leaked }) => leaked.length)}`,
    ...timesOf(results),
    `- processes that a known defect of their driver ended, and that were started again: ${sum(({ driverDeaths = 0 }) => driverDeaths)}`,
    `- slowest end after SIGTERM: ${(Math.max(...results.map(({ slowestStopMs }) => slowestStopMs)) / 1_000).toFixed(1)} s of ${timing.drainMs / 1_000} s`,
    `- ${broken.length === 0 ? 'nothing is wrong with any run' : `wrong: ${broken.map(({ store, publisher, fault, wrong }) => `${store} → ${publisher}, ${fault} (${wrong.join('; ')})`).join('; ')}`}`,
    ...(missing.length === 0 ? [] : [`- not run: ${countsOf(missing.map(({ fault }) => fault.name))}`]),
    `- ${unique(results.flatMap(({ servers }) => servers))}`,
    `- ${unique(results.map(({ machine }) => machine))}`,
  ].join('\n')
}

/** The short times of most runs, and the defaults that some are made with. */
function timesOf(results: readonly Result[]): readonly string[] {
  const allowed = ({ dueWithinMs = timing.leaseMs + timing.pollIntervalMs }: Result): number => dueWithinMs
  return [...new Set(results.map(allowed))]
    .sort((a, b) => a - b)
    .flatMap((dueWithinMs) => {
      const those = results.filter((result) => allowed(result) === dueWithinMs)
      const sum = (figure: (result: Result) => number): number => those.reduce((all, one) => all + figure(one), 0)
      const within = `within the time of a lease and one poll, ${dueWithinMs / 1_000} s`
      return [
        `- recovered ${within}: ${sum(({ timelyRecoveries }) => timelyRecoveries)} of ${sum(({ recoveries }) => recoveries)} times`,
        ...takeOvers(those, within),
      ]
    })
}

/** Of the runs that were measured so. */
function takeOvers(results: readonly Result[], within: string): readonly string[] {
  const measured = results.filter(({ timelyTakeOvers }) => timelyTakeOvers !== undefined)
  if (measured.length === 0) return []
  const sum = (figure: (result: Result) => number): number => measured.reduce((all, result) => all + figure(result), 0)
  const worstMs = Math.max(...measured.map(({ worstTakeOverMs = 0 }) => worstTakeOverMs))
  return [
    `- every partition was a living relay's again ${within}: ${sum(({ timelyTakeOvers = 0 }) => timelyTakeOvers)} of ${sum(({ recoveries }) => recoveries)} times, after ${(worstMs / 1_000).toFixed(1)} s at most`,
  ]
}

/** Each name with how often it is there. */
function countsOf(names: readonly string[]): string {
  return [...new Set(names)].map((name) => `${name} (${names.filter((one) => one === name).length})`).join(', ')
}

/** What each fault is, and which pairs it is not tried on, with the reason. */
function faultList(): string {
  const lines = faults.map(({ name, what, suits, because }) => {
    const without = storeNames.flatMap((store) =>
      publishers.filter((publisher) => !(suits?.(store, publisher) ?? true)).map((publisher) => ({ store, publisher })),
    )
    const stores = storeNames.filter(
      (store) => without.filter((pair) => pair.store === store).length === publishers.length,
    )
    const brokers = publishers.filter(
      (publisher) => without.filter((pair) => pair.publisher === publisher).length === storeNames.length,
    )
    const names = brokers.length > 0 ? brokers : stores
    return `- \`${name}\`: ${what}${names.length === 0 ? '' : `. Not with ${names.join(', ')}: ${because ?? 'not possible'}`}.`
  })
  return `The faults:\n\n${lines.join('\n')}`
}
