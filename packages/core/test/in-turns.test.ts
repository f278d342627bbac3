import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inTurns, retryWaitMs } from '../src/adapter/index.ts'

const one = fc.record({ partition: fc.integer({ min: 0, max: 3 }), position: fc.integer({ min: 0, max: 99 }) })
const queues = fc.array(fc.array(one, { maxLength: 12 }), { maxLength: 3 })

test('the oldest of each partition of each queue comes first, then the second of each', () => {
  const failed = [{ partition: 1, position: 9 }]
  const others = [3, 1, 2].map((position) => ({ partition: 0, position }))
  expect(inTurns(failed, others).map(({ position }) => position)).toEqual([1, 9, 2, 3])
})

test('nothing is lost or doubled, and each queue keeps the order of each partition', () => {
  fc.assert(
    fc.property(queues, (given) => {
      const turns = inTurns(...given)
      expect(new Set(turns)).toEqual(new Set(given.flat()))
      expect(turns).toHaveLength(given.flat().length)
      for (const queue of given) {
        for (const partition of [0, 1, 2, 3]) {
          const own = turns.filter((some) => queue.includes(some) && some.partition === partition)
          expect(own.map(({ position }) => position)).toEqual(
            own.map(({ position }) => position).toSorted((a, b) => a - b),
          )
        }
      }
    }),
  )
})

test('no partition of a queue comes a second time before all others have come once', () => {
  fc.assert(
    fc.property(queues, (given) => {
      const turns = inTurns(...given)
      const nthOfOwn = turns.map((some) => {
        const queue = given.find((candidates) => candidates.includes(some)) ?? []
        return turns
          .slice(0, turns.indexOf(some))
          .filter((other) => queue.includes(other) && other.partition === some.partition).length
      })
      expect(nthOfOwn).toEqual(nthOfOwn.toSorted((a, b) => a - b))
    }),
  )
})

test('a wait is whole, never shorter than asked for, not negative, and fits a database’s times', () => {
  expect([0.2, 7, -3, Number.POSITIVE_INFINITY].map((retryInMs) => retryWaitMs({ retryInMs }))).toEqual([1, 7, 0, 1e14])
})
