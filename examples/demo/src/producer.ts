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
/** the part of the events that is held back for as long as relays are yet to be killed: they need something to publish */
const heldBack = 0.2
/** ids in a message */
const idsAtOnce = 1_000

/**
 * Writes orders and their events, spread over `paceMs`, so that there is something to interrupt; what is held back, over
 * as long again, or at once when the demo says so.
 */
async function produce(world: World, index: number, paceMs: number, hurry: AbortSignal): Promise<void> {
  const { aggregates, producers, seed } = world.options
  const events = Math.floor((world.options.events + producers - 1 - index) / producers)
  const store = await openStore(world)
  const random = seededRandom(seed * producers + index)
  const newId = uuidv7Generator()
  const startedAt = performance.now()
  const committed = new Report()
  const dueMs = (written: number): number => {
    const part = written / events / (1 - heldBack)
    const rest = Math.max(0, written / events - (1 - heldBack)) / heldBack
    return rest === 0 ? paceMs * part : hurry.aborted ? 0 : paceMs * (1 + rest)
  }
  let transactions = 0
  let begun = 0
  const work = async (): Promise<void> => {
    while (begun < events) {
      const change = { eventId: newId(), orderId: `order-${Math.floor(random() * aggregates)}` }
      const rollBack = ++transactions % rollBackEvery === 0
      if (!rollBack) begun += 1
      if (await commit(store, change, rollBack)) await committed.add(change.eventId)
      // ahead of the pace: give way
      await waitOr(hurry, Math.max(0, startedAt + dueMs(begun) - performance.now()))
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

/** Waits for so long, or until there is hurry; once there is, for so long. */
async function waitOr(hurry: AbortSignal, ms: number): Promise<void> {
  try {
    await pause(ms, undefined, hurry.aborted ? {} : { signal: hurry })
  } catch (error) {
    if (!hurry.aborted) throw error
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
const hurry = new AbortController()
process.on('message', (message: ToProducer) => {
  if (message === 'hurry') hurry.abort()
})
process.on('SIGINT', () => undefined) // Ctrl-C reaches every process; the demo answers for all
const giveUp = (): never => process.exit(1)
process.once('disconnect', giveUp) // the demo itself is gone
await produce(world, index, paceMs, hurry.signal)
process.off('disconnect', giveUp).disconnect()
