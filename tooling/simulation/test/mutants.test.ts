import { describe, expect, it } from 'vitest'
import { mutants, partsWith } from '../src/mutants/index.ts'
import { planOf } from '../src/plan.ts'
import { explain, judge } from '../src/verdict.ts'

describe('the checker has teeth: by the rule that is broken, it finds', () => {
  it.each(mutants)('$name', { timeout: 900_000 }, async (mutant) => {
    const parts = await partsWith(mutant)
    const { from = 1, within, by } = mutant
    for (let seed = from; seed < from + within; seed++) {
      const [first] = (await judge(planOf(seed), parts)).violations
      if (!first) continue
      expect(by, `seed ${seed}: ${first.text}`).toContain(first.rule)
      return
    }
    expect.fail(`'${mutant.name}' was not found within ${within} seeds from ${from} on`)
  })
})

it('tells the smallest world that shows a mistake, in words', { timeout: 900_000 }, async () => {
  const mutant = mutants.find(({ name }) => name === 'takes what was not sent for published')
  if (!mutant) throw new Error('the mutant of this test is gone')
  const parts = await partsWith(mutant)
  const seed = await firstBroken()
  const text = await explain(seed, parts)

  expect(text).toContain(`seed ${seed} breaks`)
  expect(text).toContain(`pnpm simulate --seeds ${seed}`)
  expect(text).toMatch(/\d+\.\d{3} s {2}lent \(fetch \d+\)/)
  const smallest = JSON.parse(text.split('\n')[3] ?? '')
  const whole = planOf(seed)
  expect(smallest.faults.length).toBeLessThanOrEqual(whole.faults.length)
  expect(smallest.entries).toBeLessThanOrEqual(whole.entries)
  expect(smallest.faults.length + smallest.entries).toBeLessThan(whole.faults.length + whole.entries)

  async function firstBroken(): Promise<number> {
    for (let candidate = 1; ; candidate++) {
      const { violations } = await judge(planOf(candidate), parts)
      if (violations.some(({ rule }) => rule === 'nothing-is-lost')) return candidate
    }
  }
})
