import { expect, it } from 'vitest'
import { printedGoal } from '../src/report.ts'
import { ratioGoal } from '../src/scenario.ts'

it('a goal is met or not by the ratio of two figures', () => {
  expect(ratioGoal('as fast', [90, 100], { atLeast: 0.8 })).toMatchObject({ measured: '0.90 ×', isMet: true })
  expect(ratioGoal('as fast', [70, 100], { atLeast: 0.8 })).toMatchObject({ isMet: false })
  expect(ratioGoal('as cheap', [120, 100], { atMost: 1.15 })).toMatchObject({ isMet: false })
  expect(ratioGoal('as fast', [undefined, 100], { atLeast: 0.8 }).isMet).toBeUndefined()
})

it('a ceiling that is beaten by more than chance measures nothing', () => {
  const beaten = ratioGoal('as fast', [162, 100], { atLeast: 0.8, isCeiling: true })
  expect(beaten).toMatchObject({ isMet: undefined, note: 'the ceiling is none' })
  expect(printedGoal(beaten)).toBe('-        as fast: 1.62 ×, the ceiling is none')
  expect(ratioGoal('as cheap', [60, 100], { atMost: 1.15, isCeiling: true }).isMet).toBeUndefined()
  expect(ratioGoal('as fast', [104, 100], { atLeast: 0.8, isCeiling: true }).isMet).toBe(true)
})
