import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { contentSaboteurs } from './sabotage/content-saboteurs.ts'
import { deadLetterSaboteurs } from './sabotage/dead-letter-saboteurs.ts'
import { deliverySaboteurs } from './sabotage/delivery-saboteurs.ts'
import { enqueueSaboteurs } from './sabotage/enqueue-saboteurs.ts'
import { failureSaboteurs } from './sabotage/failure-saboteurs.ts'
import { fetchSaboteurs } from './sabotage/fetch-saboteurs.ts'
import { leaseSaboteurs } from './sabotage/lease-saboteurs.ts'
import { publisherChecks, runPublisherCheck, runStoreCheck, storeChecks } from './sabotage/run-check.ts'
import { settleSaboteurs } from './sabotage/settle-saboteurs.ts'
import { upkeepSaboteurs } from './sabotage/upkeep-saboteurs.ts'

const storeSaboteurs = [
  ...enqueueSaboteurs,
  ...fetchSaboteurs,
  ...settleSaboteurs,
  ...leaseSaboteurs,
  ...contentSaboteurs,
  ...deadLetterSaboteurs,
  ...upkeepSaboteurs,
]
const publisherSaboteurs = [...deliverySaboteurs, ...failureSaboteurs]

interface SuiteSaboteur<Sabotage> {
  readonly breaks: string
  readonly sabotage: Sabotage
  readonly caughtBy: readonly string[]
  readonly hangs?: true
}

/** How long a check may run that is expected to hang. */
const patienceMs = 2000
const hangs = new Error('the check does not end')

function expectCaught<Each extends { readonly id: string }, Sabotage>(
  saboteurs: readonly SuiteSaboteur<Sabotage>[],
  checks: readonly Each[],
  run: (check: Each, sabotage: Sabotage) => Promise<unknown>,
): void {
  for (const { breaks, sabotage, caughtBy, hangs: mayHang } of saboteurs) {
    it.concurrent(breaks, { timeout: 60_000 }, async () => {
      for (const id of caughtBy) {
        const check = checks.find((each) => each.id === id)
        if (!check) throw new Error(`There is no check ${id}`)
        const running = run(check, sabotage)
        const fault = await (mayHang ? Promise.race([running, setTimeout(patienceMs, hangs, { ref: false })]) : running)
        expect(fault, `${id} did not notice`).toBeDefined()
      }
    })
  }
}

describe('the store suite catches a store in which', () => {
  expectCaught(storeSaboteurs, storeChecks, runStoreCheck)
})

describe('the publisher suite catches a publisher of which this is true:', () => {
  expectCaught(publisherSaboteurs, publisherChecks, runPublisherCheck)
})

describe('the suites', () => {
  it('pass a store and a publisher that nobody has sabotaged, when they are run this way', async () => {
    for (const check of storeChecks) expect(await runStoreCheck(check, () => ({})), check.id).toBeUndefined()
    for (const check of publisherChecks) expect(await runPublisherCheck(check, () => ({})), check.id).toBeUndefined()
  })

  it('have a saboteur for every check', () => {
    const caught = new Set([...storeSaboteurs, ...publisherSaboteurs].flatMap(({ caughtBy }) => caughtBy))
    expect([...storeChecks, ...publisherChecks].map(({ id }) => id).filter((id) => !caught.has(id))).toEqual([])
  })
})
