import { cpus, release, totalmem, type } from 'node:os'
import type { BrokerKind } from '@outbox/end-to-end/brokers'
import { readStream } from '@outbox/end-to-end/brokers'
import type { StoreName } from '@outbox/end-to-end/stores'
import { type Audit, audit } from './audit.ts'
import type { Fault } from './faults.ts'
import { Lab } from './lab.ts'
import { Notes } from './notes.ts'
import { isOfDriver, slowestStopMs, sumOf, wrongIn } from './wrong.ts'

/** One row of the table. */
export interface Result extends Audit {
  readonly store: StoreName
  readonly publisher: BrokerKind
  readonly fault: string
  /** committed per second while the fault was at work */
  readonly entriesPerSecond: number
  /** entries that a broker had already and did not store again, as told by relays that ended in an orderly way */
  readonly dropped: number
  readonly injected: number
  /** of these, and of what else the fault ended: SIGKILLs */
  readonly kills: number
  /** when it began, ISO 8601 */
  readonly at: string
  /** with their versions */
  readonly servers: readonly string[]
  readonly machine: string
  /** until every partition moves again */
  readonly medianRecoveryMs: number
  readonly worstRecoveryMs: number
  readonly recoveries: number
  /** the time of a lease and one poll, milliseconds; of the short times if it is not there */
  readonly dueWithinMs?: number
  /** of these, within the time of a lease and one poll */
  readonly timelyRecoveries: number
  /** recoveries in which every partition was a living relay's within that time, and the slowest of all */
  readonly timelyTakeOvers?: number
  readonly worstTakeOverMs?: number
  /** until all that had waited is published */
  readonly medianCatchUpMs: number
  readonly worstCatchUpMs: number
  /** from SIGTERM to the end of a relay's work; the slowest, 0 if none was told to end */
  readonly slowestStopMs: number
  readonly seconds: number
  /** processes that a known defect of their driver ended; they are started again */
  readonly driverDeaths?: number
  /** what is wrong; empty if nothing is */
  readonly wrong: readonly string[]
}

/** Sets one system up, breaks it in one way under load, lets it come to rest, and reads everything back. */
export async function runFault(store: StoreName, publisher: BrokerKind, fault: Fault, rounds: number): Promise<Result> {
  const began = performance.now()
  const at = new Date().toISOString()
  await using lab = await Lab.open({ store, publisher, ...fault.lab?.(publisher) })
  const notes = new Notes()
  await lab.begin()
  const loadBegan = performance.now()
  const committedBefore = (await lab.shop.committed()).length
  await fault.inflict(lab, notes, rounds)
  await lab.stopProducing()
  const loadSeconds = (performance.now() - loadBegan) / 1_000
  await lab.drain()
  await lab.stopRelays()
  const committed = await lab.shop.committed()
  const letters = await lab.shop.outbox.deadLetters.list({ limit: 1_000 })
  const stream = [...lab.lostByBroker, ...(await readStream(lab.stream))]
  const found = audit(committed, stream, new Set(letters.map(({ entry }) => entry.id)), notes.excused)
  const dropped = sumOf(lab.everyRelay, 'duplicates')
  const { recoveriesMs, takeOversMs, catchUpsMs } = notes
  const { leaseMs, pollIntervalMs } = lab.times
  const isInTime = (ms: number): boolean => ms <= leaseMs + pollIntervalMs
  return {
    ...found,
    store,
    publisher,
    fault: fault.name,
    entriesPerSecond: Math.max(0, committed.length - committedBefore) / loadSeconds,
    dropped,
    injected: notes.injected,
    kills: notes.kills,
    at,
    servers: [lab.database.server, lab.broker].flatMap((server) =>
      server ? [`${server.title} ${server.version}`] : [],
    ),
    machine: machine(),
    medianRecoveryMs: medianOf(recoveriesMs),
    worstRecoveryMs: Math.max(0, ...recoveriesMs),
    recoveries: recoveriesMs.length,
    dueWithinMs: leaseMs + pollIntervalMs,
    timelyRecoveries: recoveriesMs.filter(isInTime).length,
    timelyTakeOvers: takeOversMs.filter(isInTime).length,
    worstTakeOverMs: Math.max(0, ...takeOversMs),
    medianCatchUpMs: medianOf(catchUpsMs),
    worstCatchUpMs: Math.max(0, ...catchUpsMs),
    slowestStopMs: slowestStopMs(lab.everyRelay),
    seconds: (performance.now() - began) / 1_000,
    driverDeaths: lab.deaths.filter((death) => isOfDriver(store, death)).length,
    wrong: wrongIn({ found, dropped, fault, lab, relays: lab.everyRelay, stream, excused: notes.excused }),
  }
}

/** A run that came to no result. */
export function failed(store: StoreName, publisher: BrokerKind, fault: Fault, why: string): Result {
  return {
    ...audit([], [], new Set()),
    store,
    publisher,
    fault: fault.name,
    entriesPerSecond: 0,
    dropped: 0,
    injected: 0,
    kills: 0,
    at: new Date().toISOString(),
    servers: [],
    machine: machine(),
    medianRecoveryMs: 0,
    worstRecoveryMs: 0,
    recoveries: 0,
    timelyRecoveries: 0,
    medianCatchUpMs: 0,
    worstCatchUpMs: 0,
    slowestStopMs: 0,
    seconds: 0,
    wrong: [`no result: ${why}`],
  }
}

function medianOf(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0
}

function machine(): string {
  const [processor] = cpus()
  const gigabytes = (totalmem() / 1e9).toFixed(0)
  return `${cpus().length} × ${processor?.model.trim() ?? 'processor'}, ${gigabytes} GB, ${type()} ${release()}, Node ${process.versions.node}`
}
