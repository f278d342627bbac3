import { describe, expect, it } from 'vitest'
import { type Check, isMeant, planned } from '../src/check.ts'

const check: Check<void, 'fast' | 'wide'> = {
  id: 'topic.name',
  promise: 'something holds',
  needs: ['fast', 'wide'],
  run: async () => undefined,
}

describe('a check', () => {
  it('is run under its id and promise when the harness has all that it needs', () => {
    expect(planned(check, { fast: true, wide: true })).toEqual({
      title: 'topic.name: something holds',
      isLeftOut: false,
    })
  })

  it('is left out, with the reason in its title, when the harness lacks one thing', () => {
    expect(planned(check, { fast: true, wide: { leftOut: 'one connection' } })).toEqual({
      title: 'left out: topic.name: something holds (one connection)',
      isLeftOut: true,
    })
  })

  it('that needs nothing is never left out', () => {
    const { needs: _, ...always } = check
    const nothing = { fast: { leftOut: 'no' }, wide: { leftOut: 'no' } }
    expect(planned(always, nothing).isLeftOut).toBe(false)
  })

  it('that stands in the place of a capability is meant only for those who lack it', () => {
    const instead: Check<void, 'fast' | 'wide'> = { ...check, needs: ['wide'], insteadOf: 'fast' }
    expect(isMeant(instead, { fast: true, wide: true })).toBe(false)
    expect(isMeant(instead, { fast: { leftOut: 'slow' }, wide: true })).toBe(true)
    expect(isMeant(check, { fast: { leftOut: 'slow' }, wide: true })).toBe(true)
  })
})
