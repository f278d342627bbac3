import { event, type Publisher } from '@outbox/core'
import { type MemoryOutbox, memoryOutbox } from '@outbox/memory'
import { createRelay } from '@outbox/relay'
import { waitFor } from './wait-for.ts'

/** milliseconds between two events of one aggregate */
const paceMs = 10
const timeoutMs = 240_000
const aggregateIds: readonly string[] = ['1', '2', '3', '4', '5', '6', '7', '8']

/** What arrived at the broker, or was said of it: enough to tell one event from another. */
export interface Arrival {
  readonly aggregateId: string
  readonly sequence: number
}

/** What a broker did to a relay that kept publishing to it. */
export interface LoadReport {
  /** `aggregate/sequence`, oldest first, of what was enqueued and is not among the arrivals */
  readonly missing: readonly string[]
  /** arrivals for the first time behind a later sequence of their aggregate */
  readonly outOfOrder: readonly string[]
  /** arrivals that were there before */
  readonly repeated: readonly string[]
  /** the highest number of attempts that counted against one entry */
  readonly refusals: number
  /** why they did, each text once */
  readonly reasons: readonly string[]
  readonly deadLetters: number
  /** how often the relay found the broker away */
  readonly outages: number
  /** what the relay told as an `error` event */
  readonly errors: readonly unknown[]
}

/**
 * What is wrong with a report of a fail-over that must harm nobody, in words; empty if nothing is.
 *
 * One refusal an entry is not held against it: the trouble may end between a failure and the probe that asks about it.
 */
export function harm({ missing, outOfOrder, repeated, refusals, reasons, deadLetters, errors }: LoadReport): string[] {
  return [
    ...missing.map((name) => `${name} is missing`),
    ...outOfOrder.map((name) => `${name} arrived behind a later one`),
    ...repeated.map((name) => `${name} arrived again`),
    ...(refusals > 1 ? [`an entry used up ${refusals} attempts: ${reasons.join('; ')}`] : []),
    ...(deadLetters > 0 ? [`${deadLetters} dead letters`] : []),
    ...errors.map(String),
  ]
}

/** Relays that publish, and a producer that keeps them busy. */
export interface Load extends AsyncDisposable {
  /** how often each relay has found the broker away */
  readonly outages: readonly number[]
  /** Resolves when every relay has published this many more entries, duplicates included. */
  progress(more: number): Promise<void>
  /**
   * Produces no more, waits until everything is published, and compares it with what has arrived.
   *
   * @param arrivals - all that is at a relay's destination, in its order
   */
  finish(arrivals: (destination: string) => Promise<readonly Arrival[]>): Promise<readonly LoadReport[]>
}

/**
 * Publishes events of several aggregates steadily, through one relay for each of `clients` and a destination of its
 * own, until it is finished. An outage leaves a backlog, as it would in life.
 */
export async function startLoad<Client>(
  clients: readonly Client[],
  publisherOf: (client: Client, destination: string) => Publisher,
): Promise<Load> {
  const runs = await Promise.all(
    clients.map((client, index) => startRun(publisherOf(client, `load-${index}`), `load-${index}`)),
  )
  return {
    get outages() {
      return runs.map(({ counts }) => counts.outages)
    },
    async progress(more) {
      const goals = runs.map(({ counts }) => counts.published + more)
      await waitFor(() => runs.every(({ counts }, index) => counts.published >= (goals[index] ?? 0)), {
        what: `${more} more entries to be published by each of ${runs.length} relays`,
        timeoutMs,
      })
    },
    finish: (arrivals) => Promise.all(runs.map((run) => run.finish(arrivals))),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(runs.map((run) => run.stop()))
    },
  }
}

interface Run {
  readonly counts: { readonly published: number; readonly outages: number }
  finish(arrivals: (destination: string) => Promise<readonly Arrival[]>): Promise<LoadReport>
  stop(): Promise<void>
}

async function startRun(publisher: Publisher, destination: string): Promise<Run> {
  const outbox = memoryOutbox()
  const producer = startProducer(outbox)
  const refusals = new Map<string, number>()
  const reasons = new Set<string>()
  const errors: unknown[] = []
  const counts = { published: 0, deadLetters: 0, outages: 0 }
  const relay = createRelay({
    store: outbox,
    publisher,
    retry: { minDelayMs: 20, maxDelayMs: 500 },
    on: {
      published: ({ entries }) => {
        counts.published += entries.length
      },
      dead: () => {
        counts.deadLetters += 1
      },
      destinationDown: () => {
        counts.outages += 1
      },
      error: ({ error }) => {
        errors.push(error)
      },
      retry: ({ entry, error, isRefusal }) => {
        if (!isRefusal) return
        refusals.set(entry.id, (refusals.get(entry.id) ?? 0) + 1)
        reasons.add(error instanceof Error ? error.message : String(error))
      },
    },
  })
  await relay.start()
  return {
    counts,
    async finish(arrivals) {
      const count = await producer.finish()
      await waitFor(() => outbox.isEmpty, { what: 'the backlog to be published', timeoutMs })
      return {
        ...compare(count, await arrivals(destination)),
        refusals: Math.max(0, ...refusals.values()),
        reasons: [...reasons],
        deadLetters: counts.deadLetters,
        outages: counts.outages,
        errors,
      }
    },
    async stop() {
      await producer.finish()
      await relay.stop({ deadlineMs: 1_000 })
    },
  }
}

/** Enqueues the next event of every aggregate every few milliseconds. */
function startProducer(outbox: MemoryOutbox): { finish(): Promise<number> } {
  let count = 0
  let enqueued: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    const batch = aggregateIds.map((aggregateId) => event('order.placed', { aggregateId, payload: {} }))
    count += 1
    enqueued = Promise.all([enqueued, outbox.transaction((tx) => outbox.enqueue(tx, batch))])
  }, paceMs)
  return {
    async finish() {
      clearInterval(timer)
      await enqueued
      return count
    },
  }
}

/** @param count - each aggregate has the sequences 1 to `count` */
function compare(count: number, arrivals: readonly Arrival[]): Pick<LoadReport, 'missing' | 'outOfOrder' | 'repeated'> {
  const arrived = new Set<string>()
  const highest = new Map<string, number>()
  const outOfOrder: string[] = []
  const repeated: string[] = []
  for (const { aggregateId, sequence } of arrivals) {
    const name = `${aggregateId}/${sequence}`
    const before = highest.get(aggregateId) ?? 0
    if (arrived.has(name)) repeated.push(name)
    else if (sequence < before) outOfOrder.push(name)
    arrived.add(name)
    highest.set(aggregateId, Math.max(before, sequence))
  }
  const all = Array.from({ length: count }, (_, index) => aggregateIds.map((id) => `${id}/${index + 1}`)).flat()
  return { missing: all.filter((name) => !arrived.has(name)), outOfOrder, repeated }
}
