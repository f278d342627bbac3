import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { audit, formatAudit, isClean } from './audit.ts'
import { type DemoOptions, help, parseOptions } from './options.ts'
import { RelayProcesses, runProducers } from './processes.ts'
import { ProgressDisplay } from './progress.ts'
import { seededRandom } from './random.ts'
import { brokerUrl, createDatabase } from './servers.ts'
import type { DemoStore } from './stores/store.ts'
import { openBroker, openStore, type World } from './world.ts'

const lookEveryMs = 100
/** between two kills, milliseconds, at random */
const killGap = { least: 1_200, spread: 1_600 }

/** @returns whether nothing was lost, nothing came out of order, nothing leaked, and every repeat is explained */
async function demo(options: DemoOptions): Promise<boolean> {
  const run = `${process.pid}_${options.seed}`
  const directory = await mkdtemp(join(tmpdir(), 'outbox-demo-'))
  await using resources = new AsyncDisposableStack()
  resources.defer(() => rm(directory, { recursive: true, force: true }))
  const database = resources.use(await createDatabase(options.store, directory, run))
  const world: World = {
    options,
    directory,
    databaseUrl: database?.url ?? '',
    brokerUrl: brokerUrl(options),
    run,
  }
  const store = await openStore(world)
  resources.defer(() => store.close())
  await store.setUp()
  const broker = await openBroker(world, 'audit')
  resources.defer(() => broker.close())
  await broker.setUp()
  resources.defer(() => broker.cleanUp())

  console.log(
    `${options.store} → ${options.broker}: ${options.events} events over ${options.aggregates} orders, ${options.kills} kills, seed ${options.seed}`,
  )
  using relays = new RelayProcesses(world)
  await underFire(world, relays, store)
  await relays.stop()
  const result = audit(await store.committed(), await broker.readBack(), relays.interrupted)
  console.log(formatAudit(result))
  return isClean(result)
}

/** Producer and relays at work, kills among them; resolves when everything committed is published. */
async function underFire(world: World, relays: RelayProcesses, store: DemoStore): Promise<void> {
  const { events, kills, seed } = world.options
  const wanted = world.options.relays
  const random = seededRandom(seed + 1)
  const display = new ProgressDisplay(process.stdout)
  const durationMs = Math.max(4_000, kills * (killGap.least + killGap.spread / 2))
  for (let started = 0; started < Math.max(1, wanted - 1); started++) relays.add()
  let isProducing = true
  let failure: Error | undefined
  const producers = runProducers(world, durationMs)
    .catch((error: unknown) => {
      failure = error instanceof Error ? error : new Error(String(error))
    })
    .finally(() => {
      isProducing = false
    })
  const nextKill = (): number => performance.now() + killGap.least + killGap.spread * random()
  for (let killAt = nextKill(); ; await pause(lookEveryMs)) {
    const committed = await store.count()
    const { pending } = await store.outbox.stats()
    const progress = { committed, pending, events, relays: relays.size, kills: relays.kills }
    if (relays.failure) throw relays.failure
    if (relays.size < wanted && committed * 2 >= events) relays.add() // the last relay joins half-way
    if (relays.kills < kills && performance.now() >= killAt) {
      await relays.killOne(random)
      killAt = nextKill()
    }
    if (!isProducing && pending === 0 && relays.kills === kills) {
      display.end(progress)
      break
    }
    display.show(progress)
  }
  await producers
  if (failure) throw failure
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') console.log(help)
  else process.exitCode = (await demo(options)) ? 0 : 1
} catch (error) {
  console.error(error instanceof Error && error.name !== 'TypeError' ? error.message : error)
  process.exitCode = 1
}
