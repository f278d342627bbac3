import { type Plan, planOf } from './plan.ts'
import { check, type Violation } from './rules/index.ts'
import { type Outcome, type Parts, run } from './run.ts'
import { shrink } from './shrink.ts'
import { storyOf } from './story.ts'

export interface Verdict {
  readonly seed: number
  readonly outcome: Outcome
  readonly violations: readonly Violation[]
}

/** Runs one seed and holds the promises against what happened. */
export async function judge(plan: Plan, parts: Parts): Promise<Verdict> {
  const outcome = await run(plan, parts)
  return { seed: plan.seed, outcome, violations: check(outcome) }
}

/** For people: what a failing seed breaks, in the smallest world that still breaks it, told step by step. */
export async function explain(seed: number, parts: Parts): Promise<string> {
  const plan = planOf(seed)
  const first = (await judge(plan, parts)).violations[0]
  if (!first) return `seed ${seed}: nothing is wrong`
  const smallest = await shrink(plan, async (candidate) => {
    const { violations } = await judge(candidate, parts)
    return violations.some(({ rule }) => rule === first.rule)
  })
  const { outcome, violations } = await judge(smallest, parts)
  const violation = violations.find(({ rule }) => rule === first.rule) ?? first
  return [
    `seed ${seed} breaks ${violation.rule}: ${violation.text}`,
    `to see it again: pnpm simulate --seeds ${seed}`,
    'the smallest plan that still breaks it:',
    JSON.stringify(smallest),
    'what happened there:',
    ...storyOf(outcome, violation),
  ].join('\n')
}
