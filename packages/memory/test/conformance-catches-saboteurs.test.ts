import { describe, expect, it } from 'vitest'
import { contentSaboteurs } from './sabotage/content-saboteurs.ts'
import { enqueueSaboteurs } from './sabotage/enqueue-saboteurs.ts'
import { fetchSaboteurs } from './sabotage/fetch-saboteurs.ts'
import { leaseSaboteurs } from './sabotage/lease-saboteurs.ts'
import { publisherSaboteurs } from './sabotage/publisher-saboteurs.ts'
import { publisherChecks, runPublisherCheck, runStoreCheck, storeChecks } from './sabotage/run-check.ts'
import { settleSaboteurs } from './sabotage/settle-saboteurs.ts'
import { upkeepSaboteurs } from './sabotage/upkeep-saboteurs.ts'

const saboteurs = [
  ...enqueueSaboteurs,
  ...fetchSaboteurs,
  ...settleSaboteurs,
  ...leaseSaboteurs,
  ...contentSaboteurs,
  ...upkeepSaboteurs,
]

describe('the store suite catches a store in which', () => {
  for (const { breaks, sabotage, caughtBy } of saboteurs) {
    it(breaks, async () => {
      for (const id of caughtBy) {
        const check = storeChecks.find((each) => each.id === id)
        if (!check) throw new Error(`There is no check ${id}`)
        expect(await runStoreCheck(check, sabotage), `${id} did not notice`).toBeDefined()
      }
    })
  }
})

describe('the store suite', () => {
  it('passes a store that nobody has sabotaged, also when it is run this way', async () => {
    for (const check of storeChecks) expect(await runStoreCheck(check, () => ({})), check.id).toBeUndefined()
  })

  it('has a saboteur for every check', () => {
    const caught = new Set(saboteurs.flatMap(({ caughtBy }) => caughtBy))
    expect(storeChecks.map(({ id }) => id).filter((id) => !caught.has(id))).toEqual([])
  })
})

describe('the publisher suite catches a publisher of which this is true:', () => {
  for (const { breaks, sabotage, caughtBy } of publisherSaboteurs) {
    it(breaks, async () => {
      for (const id of caughtBy) {
        const check = publisherChecks.find((each) => each.id === id)
        if (!check) throw new Error(`There is no check ${id}`)
        expect(await runPublisherCheck(check, sabotage), `${id} did not notice`).toBeDefined()
      }
    })
  }
})

describe('the publisher suite', () => {
  it('passes a publisher that nobody has sabotaged, also when it is run this way', async () => {
    for (const check of publisherChecks) {
      expect(await runPublisherCheck(check, () => ({})), check.id).toBeUndefined()
    }
  })

  it('has a saboteur for every check', () => {
    const caught = new Set(publisherSaboteurs.flatMap(({ caughtBy }) => caughtBy))
    expect(publisherChecks.map(({ id }) => id).filter((id) => !caught.has(id))).toEqual([])
  })
})
