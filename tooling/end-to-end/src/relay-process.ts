import { setTimeout as wait } from 'node:timers/promises'
import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import { createRelay, type RelayOptions } from '@outbox/relay'
import type { BrokerAddress } from './brokers.ts'
import { machineMs } from './machine-clock.ts'
import { openPublisher } from './publishers.ts'
import { openStore, type StoreAddress } from './stores.ts'

/** What a relay process is told, as JSON in its first argument. */
export interface RelayProcessOptions {
  readonly store: StoreAddress
  readonly broker: BrokerAddress
  readonly relay?: Partial<Omit<RelayOptions, 'store' | 'publisher' | 'on'>>
  readonly fault?: Fault
  /** tells what the process holds, so many milliseconds apart, after collecting garbage where `--expose-gc` allows it */
  readonly sampleEveryMs?: number
  /**
   * tells of each entry when it is handed to the broker, what the broker answers, and when the store knows it, by the
   * machine's monotonic clock, which no process has for itself
   */
  readonly tellsEntries?: boolean
}

/**
 * What goes wrong in this process.
 *
 * `stop-before-publish`, `stop-after-publish`: it stops itself (SIGSTOP) once, between the check of its lease and the
 * write, or between the write and the settle. `die`: it kills itself (SIGKILL) when an entry of this type is about to
 * be published. `refuse`: the broker refuses entries of this type.
 */
export type Fault =
  | { readonly kind: 'stop-before-publish' | 'stop-after-publish' }
  | { readonly kind: 'die' | 'refuse'; readonly eventType: string }

function faulty(publisher: Publisher, fault: Fault | undefined): Publisher {
  if (!fault) return publisher
  let hasStopped = false
  const stopOnce = (): void => {
    if (hasStopped) return
    hasStopped = true
    process.kill(process.pid, 'SIGSTOP')
  }
  return {
    ...publisher,
    async publish(entries, call) {
      if (fault.kind === 'stop-before-publish') stopOnce()
      const isMeant = (entry: DueEntry): boolean => 'eventType' in fault && entry.eventType === fault.eventType
      if (fault.kind === 'die' && entries.some(isMeant)) process.kill(process.pid, 'SIGKILL')
      if (fault.kind === 'refuse') return publishAllBut(isMeant, publisher, entries, call.signal)
      const outcomes = await publisher.publish(entries, call)
      if (fault.kind === 'stop-after-publish') stopOnce()
      return outcomes
    },
  }
}

async function publishAllBut(
  isRefused: (entry: DueEntry) => boolean,
  publisher: Publisher,
  entries: readonly DueEntry[],
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  const stopped = new Set<string>()
  const rest = entries.filter((entry) => {
    if (isRefused(entry)) stopped.add(entry.aggregateId)
    return !stopped.has(entry.aggregateId)
  })
  const outcomes = rest.length === 0 ? [] : await publisher.publish(rest, { signal })
  const byEntry = new Map(rest.map((entry, index) => [entry, outcomes[index]]))
  return entries.map((entry) => {
    if (isRefused(entry)) return { status: 'retry', error: new Error('refused on purpose') }
    return byEntry.get(entry) ?? { status: 'notSent' }
  })
}

/**
 * Tells of every attempt before it begins, and of what the broker answered in time: what a killed process had in hand,
 * and what nobody answered, is known by it. It does not go by what the relay makes of the answers.
 */
function telling(publisher: Publisher): Publisher {
  return {
    ...publisher,
    async publish(entries, call) {
      tell({ kind: 'tried', ids: entries.map(({ id }) => id) })
      const outcomes = await publisher.publish(entries, call)
      const idsOf = (isMeant: (outcome: PublishOutcome) => boolean): readonly string[] =>
        entries.flatMap(({ id }, index) => (outcomes[index] && isMeant(outcomes[index]) ? [id] : []))
      tell({
        kind: 'answered',
        stored: call.signal.aborted ? [] : idsOf(({ status }) => status === 'published'),
        dropped: idsOf((outcome) => outcome.status === 'published' && outcome.duplicate === true),
        // by this attempt nothing of them is in the broker
        kept: idsOf(({ status }) => status === 'notSent' || status === 'fenced'),
      })
      return outcomes
    },
  }
}

const tell = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

function tellWhatIsHeld(): void {
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  tell({ kind: 'sample', rss, heapUsed, handles: process.getActiveResourcesInfo().length })
}

const options = JSON.parse(process.argv[2] ?? '{}') as RelayProcessOptions
const stop = new AbortController()
let stoppedAt = Number.NaN
process.once('SIGTERM', () => {
  stoppedAt = performance.now()
  stop.abort()
})
process.stdin.once('end', () => process.exit(1)).resume() // the test is gone
tell({ kind: 'began', by: 'relay', clock: Date.now() })

const application = await openStore(options.store)
const broker = await openPublisher(options.broker)
const faulted = faulty(broker.publisher, options.fault)
const relay = createRelay({
  ...options.relay,
  store: application.outbox,
  publisher: options.tellsEntries ? telling(faulted) : faulted,
  on: {
    published({ entries }) {
      if (options.tellsEntries) tell({ kind: 'published', ids: entries.map(({ id }) => id), atMs: machineMs() })
    },
    partitions: ({ held }) => tell({ kind: 'partitions', held: held.length, partitions: held, atMs: machineMs() }),
    dead: ({ entry, reason }) => tell({ kind: 'dead', id: entry.id, reason }),
    retry: ({ entry, isRefusal, error }) => tell({ kind: 'retry', id: entry.id, isRefusal, error: String(error) }),
    leasesLost: ({ partitions }) => tell({ kind: 'leasesLost', partitions }),
    settleRefused: ({ entries }) => tell({ kind: 'settleRefused', entries: entries.length }),
    destinationDown: () => tell({ kind: 'destinationDown' }),
    destinationUp: () => tell({ kind: 'destinationUp' }),
    storeDown: () => tell({ kind: 'storeDown' }),
    storeUp: () => tell({ kind: 'storeUp' }),
    warning: ({ message }) => tell({ kind: 'warning', message }),
    error: ({ error, during }) => tell({ kind: 'error', during, message: String(error) }),
  },
})
if (options.sampleEveryMs !== undefined) setInterval(tellWhatIsHeld, options.sampleEveryMs).unref()
await relay.run({ signal: stop.signal })
tell({ kind: 'stopped', afterMs: performance.now() - stoppedAt, stats: relay.stats() })
// in an outage a connection may never end: whoever asked for the end of the process gets it
const closing = Promise.all([broker[Symbol.asyncDispose](), application[Symbol.asyncDispose]()])
await Promise.race([closing, wait(2_000)])
process.exit(0)
