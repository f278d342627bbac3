import { CheckFailure } from './command.ts'

/** One thing to look at. */
export interface Step {
  readonly name: string
  /** Returns a remark for people, or nothing; throws a `CheckFailure` with what is wrong. */
  readonly check: () => Promise<string | undefined> | string | undefined
}

/**
 * Runs steps one after the other, prints a line for each, then `N passed, N failed`; sets the exit code.
 *
 * Nothing to run is a failure: it would hide that something was not found.
 */
export async function runSteps(steps: readonly Step[]): Promise<void> {
  if (steps.length === 0) throw new Error('there is nothing to check')
  let failed = 0
  for (const step of steps) {
    if (!(await isFine(step))) failed += 1
  }
  console.log(`${steps.length - failed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

/** Runs one step and prints its line; below it what it found. */
async function isFine({ name, check }: Step): Promise<boolean> {
  const start = performance.now()
  const line = (mark: string) => `${mark} ${name.padEnd(10)} ${((performance.now() - start) / 1000).toFixed(1)} s`
  try {
    const remark = await check()
    console.log([line('✓'), ...(remark ? indented(remark) : [])].join('\n'))
    return true
  } catch (error) {
    if (!(error instanceof CheckFailure)) throw error
    console.log([line('✗'), ...indented(error.message)].join('\n'))
    return false
  }
}

function indented(text: string): readonly string[] {
  return text.split('\n').map((each) => `    ${each}`.trimEnd())
}
