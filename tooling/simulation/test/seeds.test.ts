import { createRelay } from '@outbox/relay'
import { describe, expect, it } from 'vitest'
import { planOf } from '../src/plan.ts'
import { judge } from '../src/verdict.ts'

/** The full number runs in CI as a step of its own: `pnpm simulate`. */
const seeds = 100
const parts = { createRelay }

describe('the relay in a simulated world', () => {
  it(`keeps every promise in ${seeds} worlds`, { timeout: 900_000 }, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      const { violations } = await judge(planOf(seed), parts)
      expect(violations, `seed ${seed}: see pnpm simulate --seeds ${seed}`).toEqual([])
    }
  })

  it('does the same again for the same seed', async () => {
    const first = await judge(planOf(7), parts)
    const again = await judge(planOf(7), parts)
    expect(again.outcome.history.deeds).toEqual(first.outcome.history.deeds)
    expect(first.outcome.history.deeds.length).toBeGreaterThan(1_000)
  })

  it('meets what it is made for: takeovers with entries in flight, unanswered publishes, refused settles, deaths, outages, fences', {
    timeout: 300_000,
  }, async () => {
    const met = { takeovers: 0, unanswered: 0, refusedSettles: 0, deaths: 0, duplicates: 0, outages: 0, fenced: 0 }
    for (let seed = 1; seed <= 80; seed++) {
      const { history } = (await judge(planOf(seed), parts)).outcome
      met.takeovers += history.all('granted').filter(({ tookOver }) => (tookOver?.inFlight.length ?? 0) > 0).length
      met.unanswered += history.all('told').filter(({ status }) => status === 'unknown').length
      met.refusedSettles += history.all('settleFailed').length
      met.deaths += history.all('settled').filter(({ outcome }) => outcome === 'dead').length
      met.duplicates += history.all('arrived').filter(({ as }) => as === 'duplicate').length
      met.outages += history.all('event').filter(({ name }) => name === 'destinationDown').length
      met.fenced += history.all('told').filter(({ status }) => status === 'fenced').length
    }
    for (const [what, count] of Object.entries(met)) expect(count, what).toBeGreaterThan(10)
  })
})
