import { partitionCount } from '@outbox/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { freeLeases, inPreferredOrder, shareOf } from '../src/shares.ts'

const relayCounts = fc.integer({ min: 1, max: 100 })

describe('the shares of n relays', () => {
  test('are disjoint, and together all 64', () => {
    fc.assert(
      fc.property(relayCounts, (relays) => {
        const all = sharesOf(relays).flatMap(({ first, size }) => Array.from({ length: size }, (_, i) => first + i))
        expect(all).toEqual(Array.from({ length: partitionCount }, (_, partition) => partition))
      }),
    )
  })

  test('differ by at most one, and exactly 64 mod n are the larger', () => {
    fc.assert(
      fc.property(relayCounts, (relays) => {
        const larger = Math.ceil(partitionCount / relays)
        const sizes = sharesOf(relays).map(({ size }) => size)
        expect(sizes.every((size) => size === larger || size === Math.floor(partitionCount / relays))).toBe(true)
        if (partitionCount % relays > 0) {
          expect(sizes.filter((size) => size === larger)).toHaveLength(partitionCount % relays)
        }
      }),
    )
  })
})

describe('the preferred order', () => {
  test('begins with the own share, and leaves nothing out', () => {
    fc.assert(
      fc.property(relayCounts, fc.nat({ max: 99 }), fc.uniqueArray(fc.nat({ max: 63 })), (relays, rank, partitions) => {
        const share = shareOf(rank % relays, relays)
        const isOwn = ({ partition }: { partition: number }): boolean =>
          partition >= share.first && partition < share.first + share.size
        const items = partitions.map((partition) => ({ partition }))
        const ordered = inPreferredOrder(items, share)
        expect([...ordered].sort(byPartition)).toEqual([...items].sort(byPartition))
        expect(ordered.slice(0, items.filter(isOwn).length).every(isOwn)).toBe(true)
      }),
    )
  })
})

test('a lease is free when nobody holds it, or nobody who is there', () => {
  const leases = [null, 'here', 'gone'].map((holder, partition) => ({ partition, epoch: 1, holder }))
  expect(freeLeases(leases, ['here']).map(({ holder }) => holder)).toEqual([null, 'gone'])
})

function sharesOf(relays: number): ReturnType<typeof shareOf>[] {
  return Array.from({ length: relays }, (_, rank) => shareOf(rank, relays))
}

function byPartition(a: { partition: number }, b: { partition: number }): number {
  return a.partition - b.partition
}
