import { setTimeout as pause } from 'node:timers/promises'
import { uuidv7Generator } from '@outbox/core'
import type { FromProducer, ToProducer } from './messages.ts'
import { seededRandom } from './random.ts'
import { type Change, ChangedMind, type DemoStore } from './stores/store.ts'
import { openStore, type World } from './world.ts'

/** transactions at once, where the driver does not block */
const concurrency = 8
/** every so many transactions one is rolled back on purpose, with its event already written */
const rollBackEvery = 10
/** the part of the events that is held back, and released kill by kill: whoever is killed next needs something to publish */
const heldBack = 0.2
/** what was slow is made up for, what was held back is not */
const maxBehindMs = 1_000
/** ids in a message */
const idsAtOnce = 1_000

/** Writes orders and their events, as `pace` lets it. */
async function produce(world: World, index: number, pace: Pace): Promise<void> {
  const { aggregates, producers, seed } = world.options
  const store = await openStore(world)
  const random = seededRandom(seed * producers + index)
  const newId = uuidv7Generator()
  const committed = new Report()
  let transactions = 0
  const work = async (): Promise<void> => {
    while (await pace.next()) {
      const change = { eventId: newId(), orderId: `order-${Math.floor(random() * aggregates)}` }
      if (++transactions % rollBackEvery === 0) await commit(store, { ...change, eventId: newId() }, true)
      if (await commit(store, change, false)) await committed.add(change.eventId)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  await committed.send()
  await store.close()
}

/** @returns whether it is committed: if not, it was rolled back on purpose */
async function commit(store: DemoStore, change: Change, rollBack: boolean): Promise<boolean> {
  try {
    await store.change(change, rollBack)
    return true
  } catch (error) {
    if (!(error instanceof ChangedMind)) throw error
    return false
  }
}

/** When the next event is due: they are spread over time, so that there is something to interrupt. */
class Pace {
  readonly #events: number
  readonly #paceMs: number
  readonly #kills: number
  /** released by each kill */
  readonly #share: number
  #killed = 0
  #begun = 0
  #dueAt = performance.now()
  #release = Promise.withResolvers<void>()

  /** `paceMs`: what is not held back takes as long, and what is, as long again, if the kills do not take longer */
  constructor({ events, producers, kills }: World['options'], index: number, paceMs: number) {
    this.#events = Math.floor((events + producers - 1 - index) / producers)
    this.#paceMs = paceMs
    this.#kills = kills
    this.#share = Math.floor((this.#events * heldBack) / Math.max(1, kills))
  }

  hearOfKills(killed: number): void {
    this.#killed = killed
    this.#release.resolve()
    this.#release = Promise.withResolvers()
  }

  /** @returns true when an event is due, false when there are no more */
  async next(): Promise<boolean> {
    while (this.#begun === this.#events - this.#share * (this.#kills - this.#killed)) {
      if (this.#begun === this.#events) return false
      await this.#release.promise
    }
    this.#begun += 1
    this.#dueAt = Math.max(this.#dueAt + this.#gapMs(), performance.now() - maxBehindMs)
    await pause(Math.max(0, this.#dueAt - performance.now()))
    return true
  }

  #gapMs(): number {
    const held = this.#share * this.#kills
    if (this.#begun <= this.#events - held) return this.#paceMs / (this.#events - held)
    return this.#killed === this.#kills ? 0 : this.#paceMs / held
  }
}

/** What the demo is told of the work. */
class Report {
  #ids: string[] = []

  async add(id: string): Promise<void> {
    this.#ids.push(id)
    if (this.#ids.length >= idsAtOnce) await this.send()
  }

  async send(): Promise<void> {
    const ids: FromProducer = this.#ids
    this.#ids = []
    await new Promise<void>((resolve, reject) => {
      if (!process.send) return resolve()
      process.send(ids, undefined, undefined, (error) => (error ? reject(error) : resolve()))
    })
  }
}

const [world, index, paceMs] = JSON.parse(process.argv[2] ?? '[]') as [World, number, number]
const pace = new Pace(world.options, index, paceMs)
process.on('message', (killed: ToProducer) => pace.hearOfKills(killed))
process.on('SIGINT', () => undefined) // Ctrl-C reaches every process; the demo answers for all
const giveUp = (): never => process.exit(1)
process.once('disconnect', giveUp) // the demo itself is gone
await produce(world, index, pace)
process.off('disconnect', giveUp).disconnect()
