import { setTimeout as pause } from 'node:timers/promises'
import { uuidv7Generator } from '@outbox/core'
import { seededRandom } from './random.ts'
import { ChangedMind } from './stores/store.ts'
import { openStore, type World } from './world.ts'

/** every so many transactions one is rolled back on purpose, with its event already written */
const rollBackEvery = 10
const sliceMs = 20

/** Writes orders and their events, spread over `durationMs`, so that there is something to interrupt. */
async function produce(world: World, index: number, durationMs: number): Promise<void> {
  const { aggregates, producers, seed } = world.options
  const events = Math.floor((world.options.events + producers - 1 - index) / producers)
  const store = await openStore(world)
  const random = seededRandom(seed * producers + index)
  const newId = uuidv7Generator()
  const perSlice = Math.max(1, Math.ceil((events * sliceMs) / durationMs))
  let transactions = 0
  let sliceEnd = performance.now()
  for (let committed = 0; committed < events; ) {
    const rollBack = ++transactions % rollBackEvery === 0
    try {
      await store.change({ eventId: newId(), orderId: `order-${Math.floor(random() * aggregates)}` }, rollBack)
      committed += 1
    } catch (error) {
      if (!(error instanceof ChangedMind)) throw error
    }
    if (committed % perSlice === 0) {
      sliceEnd += sliceMs
      await pause(Math.max(0, sliceEnd - performance.now()))
    }
  }
  await store.close()
}

const [world, index, durationMs] = JSON.parse(process.argv[2] ?? '[]') as [World, number, number]
const giveUp = (): never => process.exit(1)
process.once('disconnect', giveUp) // the demo itself is gone
await produce(world, index, durationMs)
process.off('disconnect', giveUp).disconnect()
