import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { audit, formatAudit, isClean } from './audit.ts'
import { keepCompiled } from './compile-cache.ts'
import { type DemoOptions, help, parseOptions, UsageError } from './options.ts'
import { ProducerProcesses, RelayProcesses } from './processes.ts'
import { ProgressDisplay } from './progress.ts'
import { seededRandom } from './random.ts'
import { brokerUrl, createDatabase } from './servers.ts'
import type { DemoStore } from './stores/store.ts'
import { openBroker, openStore, type World } from './world.ts'

const lookEveryMs = 100
/** from the moment when a relay is at work until a kill is due, milliseconds, at random */
const killGap = { least: 300, spread: 1_400 }
/** with the start of the relay that takes its place, which has to wait for the leases of the dead */
const msForAKill = 2_000
const leastPaceMs = 4_000

/** @returns whether all was committed, nothing lost, out of order, leaked or altered, and every repeat is explained */
async function demo(options: DemoOptions, quit: AbortSignal): Promise<boolean> {
  const run = `${process.pid}_${options.seed}`
  const directory = await mkdtemp(join(tmpdir(), 'outbox-demo-'))
  let isEvidence = false
  await using resources = new AsyncDisposableStack()
  resources.defer(async () => {
    if (!isEvidence) await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  })
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
  await store.setUp(Array.from({ length: options.aggregates }, (_, index) => `order-${index}`))
  const broker = await openBroker(world, 'audit')
  resources.defer(() => broker.close())
  await broker.setUp()
  resources.defer(() => broker.cleanUp())
  quit.throwIfAborted()

  console.log(
    `${options.store} → ${options.broker}: ${options.events} events over ${options.aggregates} orders, ${options.kills} kills, seed ${options.seed}`,
  )
  const relays = resources.use(new RelayProcesses(world, seededRandom(options.seed + 2)))
  const producers = resources.use(new ProducerProcesses(world, Math.max(leastPaceMs, options.kills * msForAKill)))
  await underFire(options, { relays, producers, store, quit })
  await relays.stop()
  quit.throwIfAborted()
  const committed = await store.committed()
  const deliveries = await broker.readBack()
  const told = { asked: options.events, committed: producers.committed }
  const result = audit(told, committed, deliveries, relays)
  if (options.kills > 0) console.log(killLine(options, relays))
  console.log(formatAudit(result))
  if (isClean(result)) return true
  isEvidence = true
  await writeFile(join(directory, 'committed.json'), JSON.stringify(committed, null, 1))
  await writeFile(join(directory, 'delivered.json'), JSON.stringify(deliveries, null, 1))
  console.log(`what was committed and what was delivered is kept: ${directory}`)
  return false
}

interface System {
  readonly relays: RelayProcesses
  readonly producers: ProducerProcesses
  readonly store: DemoStore
  readonly quit: AbortSignal
}

/** Producers and relays at work, kills among them; resolves when everything committed is published. */
async function underFire(options: DemoOptions, { relays, producers, store, quit }: System): Promise<void> {
  const { events, kills, seed, relays: wanted } = options
  const random = seededRandom(seed + 1)
  const display = new ProgressDisplay(process.stdout)
  for (let started = 0; started < Math.max(1, wanted - 1); started++) relays.add()
  let killsDue = 0
  let killAt: number | undefined
  for (;;) {
    const isProducing = producers.areAtWork
    const committed = await store.count()
    const { pending } = await store.outbox.stats()
    const progress = { committed, pending, events, relays: relays.size, kills: relays.kills }
    quit.throwIfAborted()
    const failure = relays.failure ?? producers.failure
    if (failure) throw failure
    if (!isProducing && pending === 0) return display.end(progress)
    if (relays.size < wanted && committed * 2 >= events) relays.add() // the last relay joins half-way
    if (killsDue < kills && relays.areAtWork) {
      killAt ??= performance.now() + killGap.least + killGap.spread * random()
      if (performance.now() >= killAt) {
        relays.killSoon()
        producers.hearOfKills(++killsDue)
        killAt = undefined
      }
    }
    display.show(progress)
    await pause(lookEveryMs, undefined, { signal: quit })
  }
}

/** A kill that strikes nobody in the middle of anything shows nothing. */
function killLine({ kills: wanted }: DemoOptions, { kills, strikes }: RelayProcesses): string {
  const line = `kills ${kills} of ${wanted} · with entries in hand ${strikes}`
  return kills === wanted ? line : `${line} · there were too few events to hold some back for each`
}

keepCompiled()
const quit = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => quit.abort())
try {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') console.log(help)
  else process.exitCode = (await demo(options, quit.signal)) ? 0 : 1
} catch (error) {
  if (quit.signal.aborted) process.exitCode = 130
  else if (error instanceof UsageError) {
    console.error(`${error.message}\n\n${help}`)
    process.exitCode = 2
  } else {
    console.error(error instanceof Error && error.name !== 'TypeError' ? error.message : error)
    process.exitCode = 1
  }
}
