import { describe, expect, it } from 'vitest'
import { enqueueSaboteurs } from './sabotage/enqueue-saboteurs.ts'
import { leaseSaboteurs } from './sabotage/lease-saboteurs.ts'
import { relaySaboteurs } from './sabotage/relay-saboteurs.ts'
import { runStoreCheck, storeChecks } from './sabotage/run-check.ts'
import { upkeepSaboteurs } from './sabotage/upkeep-saboteurs.ts'

const saboteurs = [...enqueueSaboteurs, ...relaySaboteurs, ...leaseSaboteurs, ...upkeepSaboteurs]

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
