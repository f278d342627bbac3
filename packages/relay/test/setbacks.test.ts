import { OutboxError } from '@outbox/core'
import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import type { StoreMethod } from './store-probe.ts'
import { type TestRelay, World } from './world.ts'

const busy = new OutboxError('busy', 'a lock time-out', { system: 'database' })

/** A relay with work to do, one of whose calls is answered `busy` so often, or for ever. */
async function withBusy(method: StoreMethod, times: number): Promise<TestRelay & { readonly world: World }> {
  const world = new World()
  const made = world.relay(recordingPublisher())
  let left = times
  made.probe.interfere = (called, proceed) => (called === method && left-- > 0 ? Promise.reject(busy) : proceed())
  await world.enqueue('a')
  await made.relay.start()
  return { ...made, world }
}

describe('a store that answers busy', () => {
  test.each([
    ['poll', 'a look at the leases'],
    ['fetch', 'a batch'],
    ['settle', 'a settle'],
  ] as const)('to %s for ever is told as a warning, again and again', async (method, during) => {
    const { world, relay, journal } = await withBusy(method, Number.POSITIVE_INFINITY)
    await world.clock.advance(60_000)
    const warnings = journal.of('warning').map(({ message }) => message)
    expect(warnings[0]).toBe(`The store is busy at ${during}: 10 failures in a row. Who holds a lock?`)
    expect(warnings.length).toBeGreaterThan(1)
    expect(warnings.length).toBeLessThan(60)
    expect(journal.names).not.toContain('error')
    await world.clock.advanceUntilSettled(relay.stop())
    expect(world.clock.pending).toBe(0)
  })

  test('nine times and then does its work is no news', async () => {
    const { world, relay, journal } = await withBusy('fetch', 9)
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(journal.names).not.toContain('warning')
    await relay.stop()
  })

  test('is asked several times within a lease, however long it has been so', async () => {
    const world = new World()
    const { relay, probe } = world.relay(recordingPublisher(), {
      leaseMs: 2_000,
      pollIntervalMs: 200,
      publishTimeoutMs: 500,
    })
    const askedAt: number[] = []
    probe.interfere = (called, proceed) => {
      if (called !== 'fetch') return proceed()
      askedAt.push(world.clock.monotonic())
      return Promise.reject(busy)
    }
    await world.enqueue('a')
    await relay.start()
    await world.clock.advance(60_000)
    const gaps = askedAt.slice(1).map((at, index) => at - (askedAt[index] ?? 0))
    expect(gaps.length).toBeGreaterThan(60)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(500)
    await world.clock.advanceUntilSettled(relay.stop())
  })
})
