import { expect, test } from 'vitest'
import { nextTick } from '../src/ids.ts'
import { isUuid, uuidv7Generator } from '../src/index.ts'

/** The fields of a version 7 UUID as RFC 9562, section 5.7, lays them out; the first 30 bits after the time count. */
function fieldsOf(id: string) {
  const bits = BigInt(`0x${id.replaceAll('-', '')}`)
  const field = (offset: bigint, width: bigint): number =>
    Number((bits >> (128n - offset - width)) & ((1n << width) - 1n))
  return {
    milliseconds: field(0n, 48n),
    version: field(48n, 4n),
    counter: field(52n, 12n) * 2 ** 18 + field(66n, 18n),
    variant: field(64n, 2n),
    random: field(84n, 44n),
  }
}

const fill = (value: number) => (bytes: Uint8Array) => void bytes.fill(value)

const isAscending = (ids: readonly string[]): boolean => ids.every((id, i) => i === 0 || id > (ids[i - 1] ?? ''))

test('an id is a version 7 UUID: time, version, counter, variant and chance stand where RFC 9562 puts them', () => {
  const now = Date.UTC(2026, 2, 1)
  const id = uuidv7Generator({ now: () => now, random: fill(0xa5) })()
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(fieldsOf(id)).toEqual({
    milliseconds: now,
    version: 7,
    counter: 0xa5a5a5a5 >>> 3,
    variant: 0b10,
    random: 0x5a5_a5a5_a5a5,
  })
})

test('the extremes of time and chance keep the form', () => {
  for (const now of [0, 1, 0xffff_ffff_ffff]) {
    for (const byte of [0x00, 0xff]) {
      const id = uuidv7Generator({ now: () => now, random: fill(byte) })()
      expect(isUuid(id)).toBe(true)
      expect(fieldsOf(id)).toMatchObject({ milliseconds: now, version: 7, variant: 0b10 })
    }
  }
})

test('within a millisecond ids ascend strictly, by a counter', () => {
  const newId = uuidv7Generator({ now: () => 1_000 })
  const ids = Array.from({ length: 100_000 }, newId)
  expect(isAscending(ids)).toBe(true)
  const counters = ids.map((id) => fieldsOf(id).counter)
  expect((counters.at(-1) ?? 0) - (counters[0] ?? 0)).toBe(99_999)
})

test('with the machine’s own clock and chance ids ascend strictly too, and tell the time', () => {
  const before = Date.now()
  const ids = Array.from({ length: 20_000 }, uuidv7Generator())
  const after = Date.now()
  expect(isAscending(ids)).toBe(true)
  const first = fieldsOf(ids[0] ?? '').milliseconds
  expect(first).toBeGreaterThanOrEqual(before)
  expect(fieldsOf(ids.at(-1) ?? '').milliseconds).toBeLessThanOrEqual(after)
})

test('a clock that goes back does not: ids keep the latest time seen and go on counting', () => {
  const times = [5_000, 4_000, 3_000, 5_000, 5_001, 1]
  const newId = uuidv7Generator({ now: () => times.shift() ?? expect.unreachable('no more times') })
  const ids = Array.from({ length: 6 }, newId)
  expect(isAscending(ids)).toBe(true)
  expect(ids.map((id) => fieldsOf(id).milliseconds)).toEqual([5_000, 5_000, 5_000, 5_000, 5_001, 5_001])
})

test('a counter that is full borrows the next millisecond, and goes on from there when the clock gets there', () => {
  const full = 2 ** 30 - 1
  expect(nextTick({ time: 9, counter: full - 1 }, 9, 5)).toEqual({ time: 9, counter: full })
  expect(nextTick({ time: 9, counter: full }, 9, 5)).toEqual({ time: 10, counter: 5 })
  expect(nextTick({ time: 10, counter: 5 }, 10, 77)).toEqual({ time: 10, counter: 6 })
  expect(nextTick({ time: 10, counter: 6 }, 11, 77)).toEqual({ time: 11, counter: 77 })
})

test('each millisecond counts from a place of its own chance, with half the range left', () => {
  let now = 0
  const newId = uuidv7Generator({ now: () => ++now })
  const seeds = Array.from({ length: 1_000 }, () => fieldsOf(newId()).counter)
  expect(new Set(seeds).size).toBeGreaterThan(990)
  expect(Math.max(...seeds)).toBeLessThan(2 ** 29)
})

test('a fractional clock is cut to whole milliseconds', () => {
  expect(fieldsOf(uuidv7Generator({ now: () => 1_234.999 })()).milliseconds).toBe(1_234)
})

test('generators of many processes never mint an id twice, even at one instant', () => {
  const generators = Array.from({ length: 8 }, () => uuidv7Generator({ now: () => 1_000 }))
  const ids = generators.flatMap((newId) => Array.from({ length: 20_000 }, newId))
  expect(new Set(ids).size).toBe(160_000)
})

test('the same time and chance mint the same ids, so a simulation repeats', () => {
  const mint = (): readonly string[] => {
    let byte = 0
    const random = (bytes: Uint8Array): void => {
      for (let i = 0; i < bytes.length; i++) bytes[i] = byte++
    }
    return Array.from({ length: 500 }, uuidv7Generator({ now: () => 1_700_000_000_000, random }))
  }
  expect(mint()).toEqual(mint())
  // by hand: the counter starts at 0x00010203 >>> 3, the tail is 0x04050607 without its upper 20 bits, then 0x08090a0b
  expect(mint()[0]).toBe('018bcfe5-6800-7000-8204-060708090a0b')
})

test.each<[unknown, boolean]>([
  ['0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111', true],
  ['6FA459EA-EE8A-3CA4-894E-DB77E160355E', true],
  ['00000000-0000-0000-0000-000000000000', true],
  ['0190a6b09f6a7c3e8a542f7f0cf1a111', false],
  ['{0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111}', false],
  ['0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111\n', false],
  ['0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a11g', false],
  ['', false],
  [42, false],
  [undefined, false],
])('isUuid(%j) is %s', (value, expected) => {
  expect(isUuid(value)).toBe(expected)
})
