import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findJsonFault } from '../src/json.ts'

/** Written without a look at the code under test: does `parsed` say all that `value` says? */
function says(parsed: unknown, value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value) && parsed === value
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return parsed === value
  if (typeof value !== 'object') return false
  if (value instanceof Date) return !Number.isNaN(value.getTime()) && parsed === value.toISOString()
  if (typeof parsed !== 'object' || parsed === null) return false
  if (Array.isArray(value)) {
    return (
      Array.isArray(parsed) && parsed.length === value.length && [...value].every((item, i) => says(parsed[i], item))
    )
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  const present = Object.entries(value).filter(([, property]) => property !== undefined)
  const found = new Map<string, unknown>(Object.entries(parsed))
  return (
    present.length === found.size &&
    present.every(([key, property]) => found.has(key) && says(found.get(key), property))
  )
}

function survivesJson(value: unknown): boolean {
  try {
    const text: string | undefined = JSON.stringify(value)
    return text !== undefined && says(JSON.parse(text), value)
  } catch {
    return false // JSON.stringify refused it
  }
}

test('whatever came out of JSON is taken', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(findJsonFault(JSON.parse(text))).toBeUndefined()
    }),
    { numRuns: 1000 },
  )
})

test('a value is taken exactly when it survives JSON, whatever it holds', () => {
  const anything = fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    maxDepth: 3,
  })
  let taken = 0
  let refused = 0
  fc.assert(
    fc.property(anything, (value) => {
      const isTaken = findJsonFault(value) === undefined
      if (isTaken) taken++
      else refused++
      expect(isTaken).toBe(survivesJson(value))
    }),
    { numRuns: 5000 },
  )
  expect(Math.min(taken, refused), `${taken} taken, ${refused} refused: both must occur often`).toBeGreaterThan(500)
})
