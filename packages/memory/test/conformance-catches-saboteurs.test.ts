import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { BrokenBy } from './sabotage/broken-by.ts'
import { contentSaboteurs } from './sabotage/content-saboteurs.ts'
import { deadLetterSaboteurs } from './sabotage/dead-letter-saboteurs.ts'
import { deliverySaboteurs } from './sabotage/delivery-saboteurs.ts'
import { enqueueSaboteurs } from './sabotage/enqueue-saboteurs.ts'
import { failureSaboteurs } from './sabotage/failure-saboteurs.ts'
import { fetchSaboteurs } from './sabotage/fetch-saboteurs.ts'
import { filterSaboteurs } from './sabotage/filter-saboteurs.ts'
import { inboxConflictSaboteurs } from './sabotage/inbox-conflict-saboteurs.ts'
import { inboxSaboteurs } from './sabotage/inbox-saboteurs.ts'
import { leaseSaboteurs } from './sabotage/lease-saboteurs.ts'
import { numberingSaboteurs } from './sabotage/numbering-saboteurs.ts'
import {
  inboxChecks,
  publisherChecks,
  runInboxCheck,
  runPublisherCheck,
  runStoreCheck,
  storeChecks,
} from './sabotage/run-check.ts'
import { type Suspects, saboteursPage } from './sabotage/saboteurs-page.ts'
import { settleSaboteurs } from './sabotage/settle-saboteurs.ts'
import { upkeepSaboteurs } from './sabotage/upkeep-saboteurs.ts'

const stores = [
  ...enqueueSaboteurs,
  ...numberingSaboteurs,
  ...fetchSaboteurs,
  ...settleSaboteurs,
  ...leaseSaboteurs,
  ...contentSaboteurs,
  ...deadLetterSaboteurs,
  ...filterSaboteurs,
  ...upkeepSaboteurs,
]
const inboxes = [...inboxSaboteurs, ...inboxConflictSaboteurs]
const publishers = [...deliverySaboteurs, ...failureSaboteurs]

/** For so long a check that is expected to hang must have run. */
const patienceMs = 2000
const hangs = new Error('the check does not end')

/** Which checks noticed what, as this run has shown it. */
const noticed = new Map<BrokenBy<unknown>, string[]>()

function expectCaught<Each extends { readonly id: string }, Sabotage>(
  saboteurs: readonly BrokenBy<Sabotage>[],
  checks: readonly Each[],
  run: (check: Each, sabotage: Sabotage) => Promise<unknown>,
): void {
  for (const saboteur of saboteurs) {
    it.concurrent(saboteur.breaks, { timeout: 300_000 }, async () => {
      const by: string[] = []
      for (const id of saboteur.caughtBy) {
        const check = checks.find((each) => each.id === id)
        if (!check) throw new Error(`There is no check ${id}`)
        const running = run(check, saboteur.sabotage)
        const mustHang = saboteur.hangs?.includes(id)
        const fault = await (mustHang
          ? Promise.race([running, setTimeout(patienceMs, hangs, { ref: false })])
          : running)
        if (mustHang) expect(fault, id).toBe(hangs)
        expect(fault, `${id} did not notice`).toBeDefined()
        // the mistake that was made on purpose, and none in the sabotage itself
        expect(fault, id).not.toBeInstanceOf(TypeError)
        expect(fault, id).not.toBeInstanceOf(ReferenceError)
        by.push(id)
      }
      noticed.set(saboteur, by)
    })
  }
}

describe('the store suite catches a store in which', () => {
  expectCaught(stores, storeChecks, runStoreCheck)
})

describe('the inbox suite catches an inbox that', () => {
  expectCaught(inboxes, inboxChecks, runInboxCheck)
})

describe('the publisher suite catches a publisher of which this is true:', () => {
  expectCaught(publishers, publisherChecks, runPublisherCheck)
})

describe('the suites', () => {
  it('pass what nobody has sabotaged, when they are run this way', async () => {
    for (const check of storeChecks) expect(await runStoreCheck(check, () => ({})), check.id).toBeUndefined()
    for (const check of inboxChecks) expect(await runInboxCheck(check, () => ({})), check.id).toBeUndefined()
    for (const check of publisherChecks) expect(await runPublisherCheck(check, () => ({})), check.id).toBeUndefined()
  })

  it('have a saboteur for every check', () => {
    const caught = (saboteurs: readonly BrokenBy<unknown>[]) => new Set(saboteurs.flatMap(({ caughtBy }) => caughtBy))
    const missed = (checks: readonly { readonly id: string }[], saboteurs: readonly BrokenBy<unknown>[]) =>
      checks.map(({ id }) => id).filter((id) => !caught(saboteurs).has(id))
    expect(missed(storeChecks, stores)).toEqual([])
    expect(missed(inboxChecks, inboxes)).toEqual([])
    expect(missed(publisherChecks, publishers)).toEqual([])
  })

  it('are described in SABOTEURS.md as this run has shown them (vitest -u writes it anew)', async () => {
    const suspects: Suspects[] = [
      { title: 'Stores', sentence: 'A store in which …', saboteurs: stores },
      { title: 'Inboxes', sentence: 'An inbox that …', saboteurs: inboxes },
      { title: 'Publishers', sentence: 'A publisher of which this is true: …', saboteurs: publishers },
    ]
    await expect(saboteursPage(suspects, noticed)).toMatchFileSnapshot('../../conformance/SABOTEURS.md')
  })
})
