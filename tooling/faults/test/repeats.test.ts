import { describe, expect, it } from 'vitest'
import { unexplainedRepeats } from '../src/repeats.ts'
import type { Teller } from '../src/told.ts'

const a = { id: 'a' }
const ids = ['a']
const tried = { kind: 'tried', ids }
const stored = { kind: 'answered', stored: ids, dropped: [], kept: [] }
const dropped = { kind: 'answered', stored: ids, dropped: ids, kept: [] }
const late = { kind: 'answered', stored: [], dropped: [], kept: [] }
const published = { kind: 'published', ids }
const stopped = { kind: 'stopped' }

const relay = (...messages: readonly object[]): Teller => ({ messages })
/** to whom nothing happens */
const good = relay(tried, stored, published, stopped)
const heir = relay(tried, dropped, published, stopped)

it('one arrival needs no cause', () => {
  expect(unexplainedRepeats([a], [good])).toEqual([])
})

it('nor does what the broker drops of one attempt', () => {
  expect(unexplainedRepeats([a], [relay(tried, dropped, published, stopped)])).toEqual([])
})

describe('a repeat, stored or dropped, has a cause when', () => {
  it.each([
    ['the broker did not answer', relay(tried, tried, dropped, published, stopped), []],
    ['the broker answered too late', relay(tried, late, tried, dropped, published, stopped), []],
    ['a relay was killed with the answer in hand', relay(tried, stored), [heir]],
    ['a relay was killed before it was answered', relay(tried), [heir]],
    ['a settle was refused', relay(tried, stored, { kind: 'settleRefused' }, stopped), [heir]],
    ['the database was away', relay(tried, stored, { kind: 'storeDown' }, tried, dropped, published, stopped), []],
  ])('%s', (_, first, others) => {
    expect(unexplainedRepeats([a], [first, ...others])).toEqual([])
    expect(unexplainedRepeats([a, a], [first, ...others])).toEqual(['a'])
  })
})

describe('a repeat has no cause when', () => {
  it.each([
    ['a relay publishes what it has settled', [relay(tried, stored, published, tried, dropped, published, stopped)]],
    ['two relays publish the same', [good, heir]],
    ['another relay was killed, which had settled it', [relay(tried, stored, published), heir]],
    ['another relay was killed, which had not tried it', [relay({ ...tried, ids: ['b'] }), good, heir]],
    ['it was kept back', [relay(tried, { ...late, kept: ids }, stopped), heir]],
  ])('%s', (_, relays) => {
    expect(unexplainedRepeats([a], relays)).toEqual(['a'])
  })

  it('one attempt writes twice', () => {
    expect(unexplainedRepeats([a, a], [good])).toEqual(['a'])
  })

  it('but for those that a restored database has forgotten', () => {
    expect(unexplainedRepeats([a], [good, heir], new Set(['a']))).toEqual([])
  })
})
