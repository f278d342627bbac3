import { cpus, release, totalmem, type } from 'node:os'
import type { BrokerKind } from '@outbox/end-to-end/brokers'
import { readStream } from '@outbox/end-to-end/brokers'
import type { StoreName } from '@outbox/end-to-end/stores'
import { type Audit, audit } from './audit.ts'
import type { Fault } from './faults.ts'
import { Lab, timing } from './lab.ts'
import { Notes } from './notes.ts'

/** One row of the table. */
export interface Result extends Audit {
  readonly store: StoreName
  readonly publisher: BrokerKind
  readonly fault: string
  readonly injected: number
  /** of these, and of what else the fault ended: SIGKILLs */
  readonly kills: number
  /** when it began, ISO 8601 */
  readonly at: string
  /** with their versions */
  readonly servers: readonly string[]
  readonly machine: string
  readonly medianRecoveryMs: number
  readonly worstRecoveryMs: number
  readonly recoveries: number
  /** of these, within the time of a lease and one poll */
  readonly timelyRecoveries: number
  /** from SIGTERM to the end of a relay's work; the slowest, 0 if none was told to end */
  readonly slowestStopMs: number
  readonly seconds: number
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
  await fault.inflict(lab, notes, rounds)
  await lab.stopProducing()
  await lab.drain()
  await lab.stopRelays()
  const committed = await lab.shop.committed()
  const letters = await lab.shop.outbox.deadLetters.list({ limit: 1_000 })
  const stream = [...lab.lostByBroker, ...(await readStream(lab.stream))]
  const found = audit(committed, stream, new Set(letters.map(({ entry }) => entry.id)), notes.excused)
  const recoveries = notes.recoveriesMs.toSorted((a, b) => a - b)
  return {
    ...found,
    store,
    publisher,
    fault: fault.name,
    injected: notes.injected,
    kills: notes.kills,
    at,
    servers: [lab.database.server, lab.broker].flatMap((server) =>
      server ? [`${server.title} ${server.version}`] : [],
    ),
    machine: machine(),
    medianRecoveryMs: recoveries[Math.floor(recoveries.length / 2)] ?? 0,
    worstRecoveryMs: recoveries.at(-1) ?? 0,
    recoveries: recoveries.length,
    timelyRecoveries: recoveries.filter((ms) => ms <= timing.leaseMs + timing.pollIntervalMs).length,
    slowestStopMs: slowestStopMs(lab),
    seconds: (performance.now() - began) / 1_000,
    wrong: wrongIn(found, fault, lab),
  }
}

function machine(): string {
  const [processor] = cpus()
  const gigabytes = (totalmem() / 1e9).toFixed(0)
  return `${cpus().length} × ${processor?.model.trim() ?? 'processor'}, ${gigabytes} GB, ${type()} ${release()}, Node ${process.versions.node}`
}

/** A process that is slow to hear of its own timer is not a relay that misses its deadline. */
const stopGraceMs = 1_000

function slowestStopMs(lab: Lab): number {
  return Math.max(0, ...lab.told('stopped').map(({ afterMs }) => Number(afterMs)))
}

function wrongIn(found: Audit, fault: Fault, lab: Lab): readonly string[] {
  const repeated = found.repeats.echo + found.repeats.stepBack + found.repeats.unanswered
  const errors = lab.told('error')
  const stopMs = slowestStopMs(lab)
  return [
    found.lost.length > 0 && `${found.lost.length} lost: ${found.lost.slice(0, 3).join(', ')}`,
    found.leaked.length > 0 && `${found.leaked.length} leaked: ${found.leaked.slice(0, 3).join(', ')}`,
    found.outOfOrder.length > 0 &&
      `${found.outOfOrder.length} out of order: ${found.outOfOrder.slice(0, 3).join(', ')}`,
    found.dead !== (fault.deadLetters ?? 0) && `${found.dead} dead letters instead of ${fault.deadLetters ?? 0}`,
    fault.isClean === true && repeated > 0 && `${repeated} repeats, though nothing broke`,
    stopMs > timing.drainMs + stopGraceMs && `a relay took ${Math.round(stopMs)} ms to end`,
    errors.length > 0 && `a relay told of a defect: ${JSON.stringify(errors[0])}`,
  ].filter((text): text is string => text !== false)
}
