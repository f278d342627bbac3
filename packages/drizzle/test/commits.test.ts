import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Commits, type Expected } from '../src/shared/commits.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A database in which these transactions are open until they are taken out. */
function database() {
  const open = new Set<string>()
  const asked: string[][] = []
  const commits = new Commits({
    patienceMs: 60_000,
    tellsOthers: false,
    ask: async (expected: readonly Expected[]) => {
      const names = expected.map(({ name }) => name)
      asked.push(names)
      const ended = names.filter((name) => !open.has(name))
      return { settled: ended, committed: ended }
    },
  })
  const begin = (name: string): void => {
    open.add(name)
    commits.expect({ name, partitions: [1] })
  }
  return { commits, asked, begin, commit: (name: string) => void open.delete(name) }
}

test('one that stays open is asked about ever less often, and one that comes later is not kept waiting by it', async () => {
  const { commits, asked, begin, commit } = database()
  const wakes: number[] = []
  commits.subscribe(() => void wakes.push(Date.now()))
  begin('long')
  await vi.advanceTimersByTimeAsync(3_000)
  const askedOfOne = asked.length
  expect(askedOfOne).toBeLessThan(30)
  begin('short')
  commit('short')
  const committedAt = Date.now()
  await vi.advanceTimersByTimeAsync(3_000)
  expect(wakes).toEqual([committedAt + 3])
  commit('long')
  await vi.advanceTimersByTimeAsync(250)
  expect(wakes).toHaveLength(2)
})

test('a stream of enqueues does not put the question off', async () => {
  const { asked, begin } = database()
  for (let nth = 0; nth < 100; nth++) {
    begin(`t${nth}`)
    await vi.advanceTimersByTimeAsync(1)
  }
  expect(asked).toEqual([])
  const { commits, asked: askedOf, begin: beginIn } = database()
  commits.subscribe(() => undefined)
  for (let nth = 0; nth < 100; nth++) {
    beginIn(`t${nth}`)
    await vi.advanceTimersByTimeAsync(1)
  }
  expect(askedOf.length).toBeGreaterThan(20)
})
