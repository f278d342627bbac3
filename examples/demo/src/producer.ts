import { setTimeout as pause } from 'node:timers/promises'
import { uuidv7Generator } from '@outbox/core'
import { seededRandom } from './random.ts'
import { type Change, ChangedMind, type DemoStore } from './stores/store.ts'
import { openStore, type World } from './world.ts'

/** transactions at once, where the driver does not block */
const concurrency = 8
/** every so many transactions one is rolled back on purpose, with its event already written */
const rollBackEvery = 10

/** Writes orders and their events, spread over `durationMs`, so that there is something to interrupt. */
async function produce(world: World, index: number, durationMs: number): Promise<void> {
  const { aggregates, producers, seed } = world.options
  const events = Math.floor((world.options.events + producers - 1 - index) / producers)
  const store = await openStore(world)
  const random = seededRandom(seed * producers + index)
  const newId = uuidv7Generator()
  const startedAt = performance.now()
  let transactions = 0
  let begun = 0
  const work = async (): Promise<void> => {
    while (begun < events) {
      const change = { eventId: newId(), orderId: `order-${Math.floor(random() * aggregates)}` }
      const rollBack = ++transactions % rollBackEvery === 0
      if (!rollBack) begun += 1
      await commit(store, change, rollBack)
      // ahead of the pace: give way
      await pause(Math.max(0, startedAt + (durationMs * begun) / events - performance.now()))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, work))
  await store.close()
}

async function commit(store: DemoStore, change: Change, rollBack: boolean): Promise<void> {
  try {
    await store.change(change, rollBack)
  } catch (error) {
    if (!(error instanceof ChangedMind)) throw error
  }
}

const [world, index, durationMs] = JSON.parse(process.argv[2] ?? '[]') as [World, number, number]
const giveUp = (): never => process.exit(1)
process.once('disconnect', giveUp) // the demo itself is gone
await produce(world, index, durationMs)
process.off('disconnect', giveUp).disconnect()
