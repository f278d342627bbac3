import { describe, expect, it } from 'vitest'
import { scriptCall } from '../src/call.ts'
import { streamKeys } from '../src/keys.ts'
import { dueEntry } from './support.ts'

const settings = { format: 'fields', dedupeWindowMs: 1_000, maxLength: undefined, acknowledge: undefined } as const

describe('the arguments of a script call', () => {
  it('hold names that entries share once, and tell apart those that only look alike', () => {
    const headers = [{ a: '1' }, { a: '2' }, { b: '3' }, { a: '4' }, { 'a","header:b': '5' }, { a: '6', b: '7' }]
    const entries = headers.map((each, n) => dueEntry({ aggregateId: String(n), headers: each }))
    const { args } = scriptCall(entries, 'outbox-a', streamKeys('orders'), settings)
    expect(args.filter((arg) => arg === 'occurred-at')).toHaveLength(4)
    // number of the aggregate, the lease, and the set of names
    const sets = entries.map(({ id }) => args[args.indexOf(id) - 1])
    expect(sets).toEqual([1, 1, 2, 1, 3, 4])
  })

  it('take as many looks at headers as there are, though each of thousands of entries has names of its own', () => {
    let looks = 0
    const counted = (headers: Record<string, string>): Record<string, string> =>
      new Proxy(headers, {
        get: (target, name) => {
          looks += 1
          return Reflect.get(target, name)
        },
        ownKeys: (target) => {
          looks += 1
          return Reflect.ownKeys(target)
        },
      })
    const count = 2_000
    const entries = Array.from({ length: count }, (_, n) =>
      dueEntry({ aggregateId: String(n), headers: counted({ common: 'x', other: 'x', [`x-${n}`]: 'x' }) }),
    )
    scriptCall(entries, 'outbox-a', streamKeys('orders'), settings)
    expect(looks).toBeGreaterThan(count)
    expect(looks).toBeLessThan(20 * count)
  })
})
