import { setTimeout as wait } from 'node:timers/promises'
import { OutboxError } from '@outbox/core'
import { readStream } from '@outbox/end-to-end/brokers'
import type { Lab } from './lab.ts'

/** What a run writes down about its faults. */
export class Notes {
  injected = 0
  /** processes and servers that were ended by SIGKILL */
  kills = 0
  readonly recoveriesMs: number[] = []
  readonly excused = new Set<string>()

  async kill(lab: Lab, victim: Parameters<Lab['kill']>[0]): Promise<void> {
    await lab.kill(victim)
    this.kills += 1
  }

  /** One more fault; how long until the system has caught up with what waited when it was over. */
  async recovery(lab: Lab): Promise<void> {
    await this.#recovered(20, (sinceMs) => hasCaughtUp(lab, sinceMs))
  }

  /** The same, read from the broker: for a database whose clock says nothing about ages. */
  async recoveryAsRead(lab: Lab): Promise<void> {
    const waiting = new Set(await lab.shop.committed())
    await this.#recovered(300, async () => {
      for (const { id } of await readStream(lab.stream)) waiting.delete(id)
      return waiting.size === 0
    })
  }

  async #recovered(everyMs: number, isOver: (sinceMs: number) => Promise<boolean>): Promise<void> {
    this.injected += 1
    const from = performance.now()
    while (!(await isOver(performance.now() - from))) {
      if (performance.now() - from > 60_000) throw new Error('the system has not recovered within a minute')
      await wait(everyMs)
    }
    this.recoveriesMs.push(performance.now() - from)
  }
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
