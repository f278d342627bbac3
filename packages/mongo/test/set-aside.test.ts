import { type DueEntry, event, type OutboxStore, partitionOf, type Settlement } from '@outbox/core'
import { type MongoSession, mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { gatedDatabase, heldWrite, Killed, killingGate } from './gated-database.ts'
import { emptied, type Opened, openDriver7, transaction } from './mongo-databases.ts'

const limits = { limit: 50, limitPerAggregate: 40, maxBytes: 1e6 }

describeWith('mongo', 'entries that are set aside', () => {
  let opened: Opened
  let store: OutboxStore<MongoSession>
  beforeAll(async () => {
    opened = openDriver7(await sharedMongo())
    await setup(opened.db)
    store = mongoOutbox(opened)
  })
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(() => emptied(opened))

  const produce = (aggregateId: string, count: number) =>
    transaction(opened.client, (session) =>
      store.enqueue(
        session,
        Array.from({ length: count }, () => event('order.placed', { aggregateId, payload: {} })),
      ),
    )
  const join = async () => {
    const holder = crypto.randomUUID()
    await store.join({ holder })
    const { leases } = await store.poll({ holder })
    const needed = ['blocked', 'busy'].map((id) => partitionOf('order', id))
    return store.acquire({ holder, claims: leases.filter(({ partition }) => needed.includes(partition)), evict: [] })
  }
  const aside = async (): Promise<number> => {
    const filter = { state: 'pending', asideUntil: { $gt: new Date(0) } }
    const found: unknown = await opened.db
      .collection('outbox_entries')
      .find(filter as never)
      .toArray()
    return Array.isArray(found) ? found.length : Number.NaN
  }
  const publish = (entry: DueEntry): Settlement => ({ entry, outcome: 'published' })
  const bury = (entry: DueEntry): Settlement => ({
    entry,
    outcome: 'dead',
    reason: 'no such subject',
    blocksAggregate: true,
  })

  it('come back in order, with nothing left out, when the aggregate they waited behind is requeued', async () => {
    await produce('blocked', 2100)
    const leases = await join()
    const head = await store.fetch({ leases, ...limits, limit: 1 })
    await store.settle({ leases, settlements: head.map(bury) })
    expect(await store.fetch({ leases, ...limits })).toEqual([])
    expect(await aside()).toBe(2099)
    expect(await store.deadLetters.requeue(head.map(({ id }) => id))).toBe(1)
    expect(await drained(leases)).toEqual(Array.from({ length: 2100 }, (_, n) => n + 1))
  })

  it('come back when what blocked them is discarded', async () => {
    await produce('blocked', 700)
    const leases = await join()
    const head = await store.fetch({ leases, ...limits, limit: 1 })
    await store.settle({ leases, settlements: head.map(bury) })
    expect(await store.fetch({ leases, ...limits })).toEqual([])
    await store.deadLetters.discard(head.map(({ id }) => id))
    expect((await store.poll({ holder: 'onlooker' })).duePartitions).toHaveLength(1)
    expect(await drained(leases)).toEqual(Array.from({ length: 699 }, (_, n) => n + 2))
  })

  it('of a busy aggregate are drained without a pause, whatever part of a batch was published', async () => {
    await produce('busy', 900)
    const leases = await join()
    const published: number[] = []
    for (let round = 0; published.length < 900; round++) {
      const batch = await store.fetch({ leases, ...limits })
      expect(batch.length, `round ${round}, ${published.length} published`).toBeGreaterThan(0)
      // now and then only the beginning of a batch gets through
      const through = round % 3 === 0 ? batch.slice(0, 1) : batch
      await store.settle({ leases, settlements: through.map(publish) })
      published.push(...through.map(({ sequence }) => sequence))
    }
    expect(published).toEqual(Array.from({ length: 900 }, (_, n) => n + 1))
  })

  it('of busy aggregates hide no other aggregate that is due, however many come back at once', async () => {
    const busy = ['busy', 'busy too', 'busy as well']
    for (const aggregateId of busy) await produce(aggregateId, 1500)
    await produce('small', 1)
    const holder = crypto.randomUUID()
    await store.join({ holder })
    const { leases: claims } = await store.poll({ holder })
    const leases = await store.acquire({ holder, claims, evict: [] })
    // all of them are due again, in turns, and the small one last
    const dueSince = (ids: readonly string[], ms: number) =>
      opened.db
        .collection('outbox_entries')
        .updateMany(
          { 'aggregate.id': { $in: ids } } as never,
          [{ $set: { asideUntil: { $add: [new Date(Date.now() - ms), '$sequence'] } } }] as never,
        )
    await dueSince(busy, 10_000)
    await dueSince(['small'], 1_000)
    const { duePartitions } = await store.poll({ holder })
    expect(duePartitions).toContain(partitionOf('order', 'small'))
    const batch = await store.fetch({ leases, ...limits, limit: 500 })
    expect(new Set(batch.map(({ aggregateId }) => aggregateId))).toEqual(new Set([...busy, 'small']))
    await store.settle({ leases, settlements: batch.map(publish) })
    expect(await drained(leases)).toHaveLength(4501 - batch.length)
  })

  it.each(['requeue', 'discard'] as const)('survive an operator who dies within a %s', async (change) => {
    for (let survives = 0; ; survives++) {
      await emptied(opened)
      await produce('blocked', 4)
      const leases = await join()
      const head = await store.fetch({ leases, ...limits, limit: 1 })
      await store.settle({ leases, settlements: head.map(bury) })
      expect(await store.fetch({ leases, ...limits })).toEqual([])
      const ids = head.map(({ id }) => id)
      const dying = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, killingGate(survives)) })
      const [outcome] = await Promise.allSettled([dying.deadLetters[change](ids)])
      const wasKilled = outcome.status === 'rejected' && outcome.reason instanceof Killed
      // the next operator finishes what the first one began, whatever of it was done
      const { dead } = await store.stats()
      expect(await store.deadLetters[change](ids)).toBe(dead)
      const first = change === 'requeue' ? 1 : 2
      expect(await drained(leases), `killed before command ${survives + 1}`).toEqual([1, 2, 3, 4].slice(first - 1))
      if (!wasKilled) {
        expect(survives).toBeGreaterThan(1)
        return
      }
    }
  })

  it('come back although the relay that was lent the first one died before it put the others back', async () => {
    for (let survives = 0; ; survives++) {
      await emptied(opened)
      await produce('blocked', 4)
      const leases = await join()
      const head = await store.fetch({ leases, ...limits, limit: 1 })
      await store.settle({ leases, settlements: head.map(bury) })
      expect(await store.fetch({ leases, ...limits })).toEqual([])
      await store.deadLetters.requeue(head.map(({ id }) => id))
      const dying = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, killingGate(survives)) })
      const [outcome] = await Promise.allSettled([dying.fetch({ leases, ...limits, limit: 1 })])
      const wasKilled = outcome.status === 'rejected' && outcome.reason instanceof Killed
      await store.release({ holder: leases[0]?.holder ?? '', leases: [], leave: true })
      expect(await drained(await join()), `killed before command ${survives + 1}`).toEqual([1, 2, 3, 4])
      if (!wasKilled) {
        expect(survives).toBeGreaterThan(4)
        return
      }
    }
  })

  it('are not set aside any more by a fetch that was cut off, once the lease is used again', async () => {
    await produce('blocked', 4)
    const leases = await join()
    const head = await store.fetch({ leases, ...limits, limit: 1 })
    await store.settle({ leases, settlements: head.map(bury) })
    // two writes complete the settle, which this process does not know to be applied; one notes the move; then it moves
    const move = heldWrite(4)
    const abort = new AbortController()
    const slow = mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, move.gate, move.onAnswer) })
    const cutOff = expect(slow.fetch({ leases, ...limits, signal: abort.signal })).rejects.toThrow('cut off')
    await move.isHeld
    abort.abort(new Error('cut off'))
    await cutOff
    await store.deadLetters.discard(head.map(({ id }) => id))
    const second = await store.fetch({ leases, ...limits, limit: 1 })
    expect(second.map(({ sequence }) => sequence)).toEqual([2])
    await store.settle({ leases, settlements: second.map(publish) })
    move.goOn()
    await move.isAnswered
    expect(await aside()).toBe(0)
    expect(await drained(leases)).toEqual([3, 4])
  })

  async function drained(leases: Awaited<ReturnType<typeof join>>): Promise<readonly number[]> {
    const sequences: number[] = []
    for (;;) {
      const batch = await store.fetch({ leases, limit: 200, limitPerAggregate: 200, maxBytes: 1e6 })
      if (batch.length === 0) return sequences
      sequences.push(...batch.map(({ sequence }) => sequence))
      await store.settle({ leases, settlements: batch.map(publish) })
    }
  }
})
