import { storeNames } from '@outbox/end-to-end/stores'
import { expect, it } from 'vitest'
import { casesOf, publishers, sliceOf } from '../src/choose.ts'
import { faults } from '../src/faults.ts'

it('the slice holds every fault once, every store and every broker', () => {
  const slice = sliceOf(casesOf({}))
  expect(slice.map(({ fault }) => fault.name).sort()).toEqual(faults.map(({ name }) => name).sort())
  expect(new Set(slice.map(({ store }) => store))).toEqual(new Set(storeNames))
  expect(new Set(slice.map(({ publisher }) => publisher))).toEqual(new Set(publishers))
  for (const { store, publisher, fault } of slice) expect(fault.suits?.(store, publisher) ?? true).toBe(true)
})
