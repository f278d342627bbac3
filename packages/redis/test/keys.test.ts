import { OutboxError } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { streamKeys } from '../src/keys.ts'

// That all keys of a stream share a slot is asked of a real cluster, in cluster.test.ts.
describe('the keys beside a stream', () => {
  it('two streams never share a key, though they share a tag', () => {
    const all = ['orders', '{orders}', '{orders}:a', 'a:{orders}'].flatMap((stream) => {
      const keys = streamKeys(stream)
      return [keys.fence('s'), keys.seen('i')]
    })
    expect(new Set(all).size).toBe(all.length)
  })

  it.each(['', 'a}b', 'a{}b', '{}'])(
    'the name %j is refused with a way out: no other key can share its slot',
    (stream) => {
      const name = () => streamKeys(stream)
      expect(name).toThrow(OutboxError)
      expect(name).toThrow(/Write a name like 'orders' or '\{shop\}:orders'/)
    },
  )
})
