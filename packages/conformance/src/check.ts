import { describe, it } from 'vitest'
import type { Capability } from './capability.ts'
import type { Guarantee } from './guarantees.ts'

/** One promise and how it is checked: plain data, so that suites can be listed, run and tested. */
export interface Check<Context, Needs extends string> {
  /** stable: `topic.what-it-shows` */
  readonly id: string
  /** the sentence that holds if the check passes */
  readonly promise: string
  /** the section of docs/guarantees.md that makes the promise, where it is not the one of the topic */
  readonly keeps?: Guarantee
  /** capabilities without which the check makes no sense */
  readonly needs?: readonly Needs[]
  /** the capability in whose place this promise stands: checked only where that one is left out */
  readonly insteadOf?: Needs
  /** rejects if the promise does not hold */
  readonly run: (context: Context) => Promise<void>
}

/** Checks that belong together: one file. */
export interface Topic<Context, Needs extends string> {
  readonly name: string
  /** the section of docs/guarantees.md that its checks hold an adapter to */
  readonly keeps: Guarantee
  readonly checks: readonly Check<Context, Needs>[]
}

/** Generous: a slow machine is no failure, a hanging call is. */
const checkTimeoutMs = 180_000

/** Registers every check with vitest; what the capabilities leave out is skipped under a name that says so. */
export function registerTopics<Context, Needs extends string>(
  topics: readonly Topic<Context, Needs>[],
  capabilities: Readonly<Record<Needs, Capability>>,
  withContext: (work: (context: Context) => Promise<void>) => Promise<void>,
): void {
  for (const topic of topics) {
    describe(topic.name, () => {
      for (const check of topic.checks) {
        if (!isMeant(check, capabilities)) continue
        const { title, isLeftOut } = planned(check, capabilities)
        if (isLeftOut) it.skip(title, () => undefined)
        else it(title, { timeout: checkTimeoutMs }, () => withContext(check.run))
      }
    })
  }
}

/** False for a promise that stands in the place of a capability, where the capability is there. */
export function isMeant<Context, Needs extends string>(
  check: Check<Context, Needs>,
  capabilities: Readonly<Record<Needs, Capability>>,
): boolean {
  return check.insteadOf === undefined || capabilities[check.insteadOf] !== true
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
