import { availableParallelism } from 'node:os'
import { createRelay } from '@outbox/relay'
import { Misuse, usage, type Work, workFrom } from './options.ts'
import { planOf } from './plan.ts'
import { explain, judge } from './verdict.ts'

const parts = { createRelay }

try {
  const work = workFrom(process.argv.slice(2), Math.random)
  if (work === 'help') print(usage)
  else process.exitCode = (await simulate(work)) ? 0 : 1
} catch (error) {
  if (!(error instanceof Misuse)) throw error
  process.stderr.write(`${error.message}\n\n${usage}\n`)
  process.exitCode = 2
}

/** Runs world after world, and explains each that breaks a promise. @returns whether none did */
async function simulate({ from, to, minutes }: Work): Promise<boolean> {
  if (minutes !== undefined) print(`from seed ${from} on, for ${minutes} minutes`)
  const began = performance.now()
  const endAt = began + (minutes ?? Number.POSITIVE_INFINITY) * 60_000
  const failing: number[] = []
  let runs = 0
  let steps = 0
  let faults = 0
  // however few the minutes, one world is run
  for (let seed = from; seed <= to && (runs === 0 || performance.now() < endAt); seed++) {
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
    `${runs} seeds, ${from}..${from + runs - 1}, ${faults} faults planned, ${steps} steps, ${seconds.toFixed(0)} s ` +
      `(${((1_000 * seconds) / runs).toFixed(0)} ms a seed, ${availableParallelism()} CPUs, one used): ` +
      (failing.length === 0 ? 'no promise broken' : `broken in ${failing.length}: ${failing.join(', ')}`),
  )
  return failing.length === 0
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
