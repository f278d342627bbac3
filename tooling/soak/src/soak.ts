import { setTimeout as wait } from 'node:timers/promises'
import { OutboxError } from '@outbox/core'
import { readStream } from '@outbox/end-to-end/brokers'
import type { RelayProcessOptions } from '@outbox/end-to-end/relay-process'
import { programOf } from '@outbox/end-to-end/system'
import { type Audit, audit } from '@outbox/faults/audit'
import { Lab, timing } from '@outbox/faults/lab'
import { Notes } from '@outbox/faults/notes'
import { sumOf, wrongIn } from '@outbox/faults/wrong'
import { type NodeChild, spawnNode } from '@outbox/services'
import { outgrown } from './growth.ts'
import type { Sample } from './sample.ts'
import { inflictOne } from './troubles.ts'
import { look } from './watch.ts'

export interface SoakOptions {
  readonly store: 'postgres' | 'sqlite'
  readonly publisher: 'redis' | 'nats'
  readonly minutes: number
  readonly entriesPerSecond: number
  readonly sampleEveryMs: number
  /** between the recovery from one trouble and the next one */
  readonly calmMs: number
  /** published entries stay so long */
  readonly keepMs: number
}

export interface Mark {
  readonly atMs: number
  readonly name: string
}

export interface SoakResult {
  readonly options: SoakOptions
  readonly samples: readonly Sample[]
  readonly marks: readonly Mark[]
  readonly audit: Audit
  readonly purged: number
  readonly medianRecoveryMs: number
  readonly worstRecoveryMs: number
  readonly servers: readonly string[]
  /** what is wrong; empty if nothing is */
  readonly faults: readonly string[]
}

/**
 * Runs a whole system under load and troubles for as long as is asked, then lets it come to rest and reads everything
 * back. One relay is never touched, so that its memory can be judged; two more, and the producers, are.
 */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { store, publisher, entriesPerSecond, minutes } = options
  await using lab = await Lab.open({ store, publisher, entriesPerSecond, relays: 2, producers: 3 })
  await using steady = await startSteadyRelay(lab, options)
  await lab.begin()
  const began = performance.now()
  const since = (): number => performance.now() - began
  const isOver = (): boolean => since() >= minutes * 60_000
  const notes = new Notes({ knowsAllRelays: false })
  const samples: Sample[] = []
  const marks: Mark[] = []

  const sampling = async (): Promise<void> => {
    while (!isOver()) {
      samples.push(await look(lab, steady, since()))
      await wait(options.sampleEveryMs)
    }
  }
  const troubling = async (): Promise<void> => {
    for (await wait(options.calmMs); !isOver(); await wait(options.calmMs)) {
      const atMs = since()
      marks.push({ atMs, name: await inflictOne(lab, notes) })
      await notes.recovery(lab)
    }
  }
  const [purged] = await Promise.all([purging(lab, options.keepMs, isOver), sampling(), troubling()])

  await lab.stopProducing()
  await lab.drain()
  const end = await steady.signal('SIGTERM')
  await lab.stopRelays()
  const committed = await lab.shop.committed()
  const letters = await lab.shop.outbox.deadLetters.list({ limit: 1_000 })
  const stream = await readStream(lab.stream)
  const found = audit(committed, stream, new Set(letters.map(({ entry }) => entry.id)))
  const relays = [...lab.everyRelay, steady]
  const recoveries = notes.recoveriesMs.toSorted((a, b) => a - b)
  const { database, broker } = lab
  return {
    options,
    samples,
    marks,
    audit: found,
    purged,
    medianRecoveryMs: recoveries[Math.floor(recoveries.length / 2)] ?? 0,
    worstRecoveryMs: recoveries.at(-1) ?? 0,
    servers: [database.server ?? { title: 'SQLite', version: 'of better-sqlite3' }, broker].map(
      ({ title, version }) => `${title} ${version}`,
    ),
    faults: [
      ...wrongIn({ found, dropped: sumOf(relays, 'duplicates'), fault: {}, lab, relays, stream, excused: new Set() }),
      ...(end.code === 0 ? [] : [`the untouched relay ended with ${end.code ?? end.signal}:\n${steady.output()}`]),
      ...(purged === 0 ? ['nothing was purged'] : []),
      ...outgrown(samples),
    ],
  }
}

async function startSteadyRelay(lab: Lab, { sampleEveryMs }: SoakOptions): Promise<NodeChild> {
  const { database, databaseProxy, stream, brokerProxy } = lab
  const options: RelayProcessOptions = {
    store: { kind: lab.options.store, url: databaseProxy?.through(database.url) ?? database.url },
    broker: { ...stream, url: brokerProxy.through(stream.url) },
    relay: timing,
    tellsEntries: true,
    sampleEveryMs,
  }
  return spawnNode(await programOf('relay'), [JSON.stringify(options)], { nodeArguments: ['--expose-gc'] })
}

/** What a cron job does in production: it comes again when the database was away. */
async function purging({ shop }: Lab, keepMs: number, isOver: () => boolean): Promise<number> {
  let purged = 0
  while (!isOver()) {
    try {
      purged += await shop.outbox.purge({ olderThanMs: keepMs, limit: 5_000 })
    } catch (error) {
      if (!OutboxError.is(error) || !error.isRetryable) throw error
    }
    await wait(1_000)
  }
  return purged
}
