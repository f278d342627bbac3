import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { createRelay } from '@outbox/relay'
import { planOf } from './plan.ts'
import { explain, judge } from './verdict.ts'

const usage = `pnpm simulate [--seeds A..B] [--minutes N]
  --seeds 1..2000   which worlds to run; a single number runs that one
  --minutes 60      go on from the first of --seeds for so long
The real relay in a simulated world. Ends with 1 when a promise was broken, and tells how.`

const parts = { createRelay }
const { from, to, minutes } = options()
const began = performance.now()
const until = minutes === undefined ? undefined : began + minutes * 60_000
let runs = 0
let steps = 0
let faults = 0
const failing: number[] = []

for (let seed = from; until === undefined ? seed <= to : performance.now() < until; seed++) {
  const { outcome, violations } = await judge(planOf(seed), parts)
  runs += 1
  steps += outcome.steps
  faults += outcome.plan.faults.length
  if (violations.length > 0) {
    failing.push(seed)
    print(await explain(seed, parts))
  }
  if (runs % 500 === 0) print(`${runs} seeds, ${failing.length} broken`)
}

const seconds = (performance.now() - began) / 1_000
print(
  `${runs} seeds from ${from} on, ${faults} faults planned, ${steps} steps, ${seconds.toFixed(0)} s ` +
    `(${((1_000 * seconds) / Math.max(1, runs)).toFixed(0)} ms a seed, ${availableParallelism()} CPUs, one used): ` +
    (failing.length === 0 ? 'no promise broken' : `broken in ${failing.join(', ')}`),
)
process.exitCode = failing.length === 0 ? 0 : 1

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

function options(): { readonly from: number; readonly to: number; readonly minutes: number | undefined } {
  const { values } = parseArgs({
    options: { seeds: { type: 'string' }, minutes: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help) {
    print(usage)
    process.exit(0)
  }
  const minutes = values.minutes === undefined ? undefined : Number(values.minutes)
  const range = /^(\d+)(?:\.\.(\d+))?$/.exec(values.seeds ?? (minutes === undefined ? '1..2000' : '1..1'))
  if (!range || (minutes !== undefined && !(minutes > 0))) {
    process.stderr.write(`${usage}\n`)
    process.exit(2)
  }
  const from = Number(range[1])
  return { from, to: Number(range[2] ?? range[1]), minutes }
}
