import { setTimeout as wait } from 'node:timers/promises'
import { OutboxError } from '@outbox/core'
import { readStream } from '@outbox/end-to-end/brokers'
import { machineMs } from '@outbox/end-to-end/machine-clock'
import type { Lab } from './lab.ts'

/** What a run writes down about its faults. */
export class Notes {
  injected = 0
  /** processes and servers that were ended by SIGKILL */
  kills = 0
  /** from a fault's end until every partition moves again */
  readonly recoveriesMs: number[] = []
  /** from a fault's end until every partition is a living relay's */
  readonly takeOversMs: number[] = []
  /** from a fault's end until all that waited then is published */
  readonly catchUpsMs: number[] = []
  readonly excused = new Set<string>()
  readonly #knowsAllRelays: boolean

  /** @param options.knowsAllRelays - false where a relay beside those of the lab holds partitions; default true */
  constructor({ knowsAllRelays = true }: { readonly knowsAllRelays?: boolean } = {}) {
    this.#knowsAllRelays = knowsAllRelays
  }

  async kill(lab: Lab, victim: Parameters<Lab['kill']>[0]): Promise<void> {
    await lab.kill(victim)
    this.kills += 1
  }

  /** One more fault, which is over now: how long until the system moves again, and has caught up. */
  async recovery(lab: Lab): Promise<void> {
    await this.#recovered(lab, 20, (sinceMs) => hasCaughtUp(lab, sinceMs))
  }

  /** The same, read from the broker: for a database whose clock says nothing about ages. */
  async recoveryAsRead(lab: Lab): Promise<void> {
    const waiting = new Set(await lab.shop.committed())
    await this.#recovered(lab, 300, async () => {
      for (const { id } of await readStream(lab.stream)) waiting.delete(id)
      return waiting.size === 0
    })
  }

  async #recovered(lab: Lab, everyMs: number, hasCaughtUp: (sinceMs: number) => Promise<boolean>): Promise<void> {
    this.injected += 1
    const from = machineMs()
    const sinceMs = (): number => machineMs() - from
    const until = async (everyMs: number, isSo: () => Promise<boolean>): Promise<number> => {
      while (!(await isSo())) {
        if (sinceMs() > 60_000) throw new Error('the system has not recovered within a minute')
        await wait(everyMs)
      }
      return sinceMs()
    }
    /** A partition in which nothing waited has recovered when a relay is there for it. */
    const takenOver = async (): Promise<number> => {
      await until(everyMs, async () => lab.heldAgainAt(from) !== undefined)
      const takeOverMs = (lab.heldAgainAt(from) ?? Infinity) - from
      this.takeOversMs.push(takeOverMs)
      return takeOverMs
    }
    let heads: Heads | undefined
    const noticedMs = await until(50, async () => {
      heads ??= await whenThere(() => headsOf(lab))
      return heads !== undefined && (await moves(lab, heads))
    })
    const movedMs = Math.min(noticedMs, (toldAsMoved(lab, heads) ?? Infinity) - from)
    this.catchUpsMs.push(await until(everyMs, () => hasCaughtUp(sinceMs())))
    this.recoveriesMs.push(Math.max(movedMs, this.#knowsAllRelays ? await takenOver() : 0))
  }
}

interface Heads {
  readonly ids: ReadonlySet<string>
  /** how many pending entries have to be looked at to see all of them */
  readonly depth: number
}

/** So many of the oldest pending entries are of all partitions that stand still. */
const front = 2_000

/** The oldest entry that waits in each partition. */
async function headsOf({ shop }: Lab): Promise<Heads> {
  const pending = await shop.outbox.fetchUnpublished(front)
  const partitions = new Set<number>()
  const ids = new Set<string>()
  let depth = 0
  pending.forEach(({ id, partition }, index) => {
    if (partitions.has(partition)) return
    partitions.add(partition)
    ids.add(id)
    depth = index + 1
  })
  return { ids, depth }
}

/** Whether the entry that waited first has left every partition. */
async function moves({ shop }: Lab, { ids, depth }: Heads): Promise<boolean> {
  const pending = depth === 0 ? [] : await whenThere(() => shop.outbox.fetchUnpublished(depth))
  return pending?.every(({ id }) => !ids.has(id)) ?? false
}

/** When relays told of the last of them, by the machine's clock: before the database was asked, and had answered. */
function toldAsMoved(lab: Lab, heads: Heads | undefined): number | undefined {
  if (!heads || heads.ids.size === 0) return undefined
  const toldAt = lab.publishedAt()
  return Math.max(...[...heads.ids].map((id) => toldAt.get(id) ?? Infinity))
}

/** Everything that was pending at the moment `sinceMs` ago is published: the oldest that is pending is younger. */
async function hasCaughtUp({ shop }: Lab, sinceMs: number): Promise<boolean> {
  const stats = await whenThere(() => shop.outbox.stats())
  if (!stats) return false
  return stats.oldestPendingAgeMs === null || stats.oldestPendingAgeMs < sinceMs
}

/** What a database says; undefined while it is not there yet. */
export async function whenThere<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (OutboxError.is(error) && error.isRetryable) return undefined
    throw error
  }
}
