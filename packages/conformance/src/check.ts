import { describe, it } from 'vitest'
import type { Capability } from './capability.ts'

/** One promise and how it is checked: plain data, so that suites can be listed, run and tested. */
export interface Check<Context, Needs extends string> {
  /** stable: `topic.what-it-shows` */
  readonly id: string
  /** the sentence that holds if the check passes */
  readonly promise: string
  /** capabilities without which the check makes no sense */
  readonly needs?: readonly Needs[]
  /** rejects if the promise does not hold */
  readonly run: (context: Context) => Promise<void>
}

/** Checks that belong together: one file. */
export interface Topic<Context, Needs extends string> {
  readonly name: string
  readonly checks: readonly Check<Context, Needs>[]
}

/** Generous: a slow machine is no failure, a hanging call is. */
const checkTimeoutMs = 60_000

/** Registers every check with vitest; what the capabilities leave out is skipped under a name that says so. */
export function registerTopics<Context, Needs extends string>(
  topics: readonly Topic<Context, Needs>[],
  capabilities: Readonly<Record<Needs, Capability>>,
  withContext: (work: (context: Context) => Promise<void>) => Promise<void>,
): void {
  for (const topic of topics) {
    describe(topic.name, () => {
      for (const check of topic.checks) {
        const { title, isLeftOut } = planned(check, capabilities)
        if (isLeftOut) it.skip(title, () => undefined)
        else it(title, { timeout: checkTimeoutMs }, () => withContext(check.run))
      }
    })
  }
}

/** Under what title a check appears, and whether the capabilities leave it out. */
export function planned<Context, Needs extends string>(
  check: Check<Context, Needs>,
  capabilities: Readonly<Record<Needs, Capability>>,
): { readonly title: string; readonly isLeftOut: boolean } {
  const title = `${check.id}: ${check.promise}`
  for (const need of check.needs ?? []) {
    const capability = capabilities[need]
    if (capability !== true) return { title: `left out: ${title} (${capability.leftOut})`, isLeftOut: true }
  }
  return { title, isLeftOut: false }
}
