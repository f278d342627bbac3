import type { DueEntry, Lease, LeasedSource, OutboxStore, Settlement } from '@outbox/core'
import { event, partitionOf } from '@outbox/core'
import { suspectAt } from '@outbox/core/adapter'
import { type MongoSession, mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { gatedDatabase, holdingGate, Killed, killingGate } from './gated-database.ts'
import { emptied, type Opened, openDriver7, transaction } from './mongo-databases.ts'

/** More commands than any call sends. */
const never = 1000
const farFuture = 7 * 24 * 3600 * 1000

const ids = ['published', 'refused', 'postponed', 'skipped', 'blocked'] as const

interface Relay {
  readonly holder: string
  readonly leases: readonly Lease[]
}

describeWith('mongo', 'a relay that is stopped before any of its commands', () => {
  let opened: Opened
  let store: OutboxStore<MongoSession>

  beforeAll(async () => {
    opened = openDriver7(await sharedMongo())
    await setup(opened.db)
    store = mongoOutbox(opened)
  })
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(() => emptied(opened))

  const produce = (ids: readonly string[], count: number) =>
    transaction(opened.client, (session) =>
      store.enqueue(
        session,
        ids.flatMap((id) =>
          Array.from({ length: count }, () => event('order.placed', { aggregateId: id, payload: {} })),
        ),
      ),
    )
  /** The same outbox in another process, which may be held or die at its commands. */
  const gatedStore = (gate: (name: string) => Promise<void>) =>
    mongoOutbox({ client: opened.client, db: gatedDatabase(opened.db, gate) })

  const verdicts = (batch: readonly DueEntry[]): Settlement[] =>
    batch
      .filter(({ sequence }) => sequence === 1)
      .map((entry): Settlement => {
        const reason = 'no such subject'
        switch (entry.aggregateId) {
          case 'refused':
            return { entry, outcome: 'retry', retryInMs: farFuture, isRefusal: true, reason }
          case 'postponed':
            return { entry, outcome: 'retry', retryInMs: farFuture, isRefusal: false, reason }
          case 'skipped':
            return { entry, outcome: 'dead', reason, blocksAggregate: false }
          case 'blocked':
            return { entry, outcome: 'dead', reason, blocksAggregate: true }
          default:
            return { entry, outcome: 'published' }
        }
      })

  it('says all or nothing under each lease when it dies within a settle', async () => {
    for (let survives = 0; survives < never; survives++) {
      await emptied(opened)
      await produce(ids, 2)
      const dying = gatedStore(killingGate(never))
      const relay = await join(dying)
      const batch = await fetchAll(dying, relay)
      const killed = gatedStore(killingGate(survives))
      const death = await outcomeOf(killed.settle({ leases: relay.leases, settlements: verdicts(batch) }))
      const heir = await takeOver(store, relay)
      const left = new Map<string, string>()
      for (const id of ids) {
        const rest = await entriesOf(id)
        left.set(id, rest.map((entry) => `${entry['state']} ${entry['refused']} ${entry['crashes']}`).join(', '))
      }
      const wasSaid = left.get('published') === 'published 0 0, pending 0 0'
      expect(Object.fromEntries(left), `killed before command ${survives + 1}`).toEqual(
        wasSaid
          ? {
              published: 'published 0 0, pending 0 0',
              refused: 'pending 1 0, pending 0 0',
              postponed: 'pending 0 0, pending 0 0',
              skipped: 'dead 0 0, pending 0 0',
              blocked: 'dead 0 0, pending 0 0',
            }
          : Object.fromEntries(ids.map((id) => [id, 'pending 0 1, pending 0 1'])),
      )
      const due = await drainAll(store, heir)
      expect(due).toEqual(
        wasSaid ? ['published#2', 'skipped#2'] : ids.flatMap((id) => [`${id}#1`, `${id}#2`]).toSorted(),
      )
      if (!(death instanceof Killed)) {
        expect(wasSaid).toBe(true)
        expect(survives).toBeGreaterThan(2)
        return
      }
    }
  })

  it('changes nothing by a settle that goes on after the take-over', async () => {
    await expectNoEffect(
      async (zombie, relay, batch) => zombie.settle({ leases: relay.leases, settlements: verdicts(batch) }),
      // the heir goes through the same tries, with other words
      async (heir) => {
        const lent = await fetchEach(store, heir)
        const [first] = lent
        if (first) {
          const settlement: Settlement = {
            entry: first,
            outcome: 'retry',
            retryInMs: 0,
            isRefusal: false,
            reason: 'the broker was away',
          }
          await store.settle({ leases: heir.leases, settlements: [settlement] })
        }
        const dead = (await store.deadLetters.list({ limit: 10 })).map(({ entry }) => entry.id)
        await store.deadLetters.requeue(dead)
      },
    )
  })

  it('changes nothing by a fetch that goes on after the take-over', async () => {
    await expectNoEffect(
      async (zombie, relay) => fetchAll(zombie, relay),
      async (heir) => {
        const lent = await fetchEach(store, heir)
        await store.settle({
          leases: heir.leases,
          settlements: lent.map((entry): Settlement => ({ entry, outcome: 'published' })),
        })
      },
    )
  })

  it('changes nothing by a release that goes on after the take-over', async () => {
    await expectNoEffect(
      async (zombie, relay) => zombie.release({ holder: relay.holder, leases: relay.leases, leave: false }),
      async (heir) => void (await fetchEach(store, heir)),
    )
  })

  it('changes nothing by an acquire that goes on after somebody else has taken what it claims', async () => {
    for (let heldFrom = 1; heldFrom < never; heldFrom++) {
      await emptied(opened)
      await produce(ids, 2)
      const gone = await join(store)
      await fetchAll(store, gone)
      const { gate, isHeld, goOn } = holdingGate(heldFrom)
      const zombie = gatedStore(gate)
      const holder = crypto.randomUUID()
      await store.join({ holder })
      const { leases, relays } = await store.poll({ holder })
      const evict = relays.filter((relay) => relay.holder === gone.holder)
      const late = outcomeOf(zombie.acquire({ holder, claims: leases.filter(isNeeded), evict }))
      if ((await Promise.race([isHeld.then(() => 'held'), late.then(() => 'ended')])) === 'ended') {
        expect(heldFrom).toBeGreaterThan(5)
        return
      }
      const heir = await takeOver(store, { holder }, gone)
      const crashed = await store.fetchUnpublished(100)
      expect(crashed).toHaveLength(10)
      const before = await state()
      goOn()
      await late
      expect(await state(), `held before command ${heldFrom}`).toEqual(before)
      expect((await drainAll(store, heir)).length).toBe(10)
    }
  })

  it('sets nothing aside any more after the take-over', async () => {
    const limits = { limit: 10, limitPerAggregate: 10, maxBytes: 1e6 }
    for (let heldFrom = 1; heldFrom < never; heldFrom++) {
      await emptied(opened)
      await produce(['hot'], 600)
      const relay = await join(store)
      const { gate, isHeld, goOn } = holdingGate(heldFrom)
      const late = outcomeOf(gatedStore(gate).fetch({ leases: relay.leases, ...limits }))
      if ((await Promise.race([isHeld.then(() => 'held'), late.then(() => 'ended')])) === 'ended') {
        expect(await setAside()).toBeGreaterThan(500)
        expect(heldFrom).toBeGreaterThan(3)
        return
      }
      await takeOver(store, relay)
      const before = await setAside()
      goOn()
      await late
      expect(await setAside(), `held before command ${heldFrom}`).toBeLessThanOrEqual(before)
    }
  })

  /** Stops `act` before each of its commands in turn, hands its leases to an heir, and then lets it go on. */
  async function expectNoEffect(
    act: (zombie: LeasedSource, relay: Relay, batch: readonly DueEntry[]) => Promise<unknown>,
    heirWork: (heir: Relay) => Promise<void>,
  ): Promise<void> {
    for (let heldFrom = 1; heldFrom < never; heldFrom++) {
      await emptied(opened)
      await produce(ids, 2)
      const relay = await join(store)
      const batch = await fetchAll(store, relay)
      const { gate, isHeld, goOn } = holdingGate(heldFrom)
      const late = outcomeOf(act(gatedStore(gate), relay, batch))
      if ((await Promise.race([isHeld.then(() => 'held'), late.then(() => 'ended')])) === 'ended') {
        expect(heldFrom).toBeGreaterThan(1)
        return
      }
      const heir = await takeOver(store, relay)
      await heirWork(heir)
      const before = await state()
      goOn()
      await late
      expect(await state(), `held before command ${heldFrom}`).toEqual(before)
    }
  }

  async function state(): Promise<unknown> {
    const read = (kind: string) =>
      opened.db
        .collection(`outbox_${kind}`)
        .find({} as never, { sort: { _id: 1 } } as never)
        .toArray()
    return { entries: await read('entries'), leases: await read('leases'), relays: await read('relays') }
  }

  async function setAside(): Promise<number> {
    const aside = { asideUntil: { $gt: new Date(0) } }
    const found: unknown = await opened.db
      .collection('outbox_entries')
      .find(aside as never)
      .toArray()
    return Array.isArray(found) ? found.length : Number.NaN
  }

  async function entriesOf(id: string): Promise<Record<string, unknown>[]> {
    const options = { sort: { sequence: 1 } }
    const found = await opened.db
      .collection('outbox_entries')
      .find({ 'aggregate.id': id } as never, options as never)
      .toArray()
    return found as Record<string, unknown>[]
  }
})

/** Takes the leases that the tests' aggregates need: a few, which makes each of many rounds cheap. */
async function join(store: LeasedSource): Promise<Relay> {
  const holder = crypto.randomUUID()
  await store.join({ holder })
  const { leases } = await store.poll({ holder })
  return { holder, leases: await store.acquire({ holder, claims: leases.filter(isNeeded), evict: [] }) }
}

const needed = new Set([...ids, 'hot'].map((id) => partitionOf('order', id)))

function isNeeded({ partition }: { readonly partition: number }): boolean {
  return needed.has(partition)
}

async function takeOver(store: LeasedSource, ...gone: readonly { readonly holder: string }[]): Promise<Relay> {
  const holder = crypto.randomUUID()
  const holders = gone.map((one) => one.holder)
  await store.join({ holder })
  const { leases, relays } = await store.poll({ holder })
  const evict = relays.filter((relay) => holders.includes(relay.holder))
  return { holder, leases: await store.acquire({ holder, claims: leases.filter(isNeeded), evict }) }
}

function fetchAll(store: LeasedSource, { leases }: Relay): Promise<readonly DueEntry[]> {
  return store.fetch({ leases, limit: 100, limitPerAggregate: 100, maxBytes: 1e6 })
}

/** As `fetchAll`, once nothing is suspect any more: entries with two crashes are lent one by one. */
async function fetchEach(store: LeasedSource, relay: Relay): Promise<readonly DueEntry[]> {
  for (;;) {
    const batch = await fetchAll(store, relay)
    const [entry] = batch
    if (!entry || entry.crashes < suspectAt) return batch
    const settlement: Settlement = { entry, outcome: 'retry', retryInMs: 0, isRefusal: true, reason: 'again' }
    await store.settle({ leases: relay.leases, settlements: [settlement] })
  }
}

async function drainAll(store: LeasedSource, relay: Relay): Promise<readonly string[]> {
  const places: string[] = []
  for (;;) {
    const batch = await fetchAll(store, relay)
    if (batch.length === 0) return places.toSorted()
    places.push(...batch.map(({ aggregateId, sequence }) => `${aggregateId}#${sequence}`))
    const settlements = batch.map((entry): Settlement => ({ entry, outcome: 'published' }))
    await store.settle({ leases: relay.leases, settlements })
  }
}

/** What a call ended with, whether it is a result or an error. */
async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  const [outcome] = await Promise.allSettled([call])
  return outcome?.status === 'fulfilled' ? outcome.value : outcome?.reason
}
