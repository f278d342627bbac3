import { setTimeout as wait } from 'node:timers/promises'
import { OutboxError } from '@outbox/core'
import type { Lab } from './lab.ts'

/** What a run writes down about its faults. */
export class Notes {
  injected = 0
  /** processes and servers that were ended by SIGKILL */
  kills = 0
  readonly recoveriesMs: number[] = []
  readonly excused = new Set<string>()

  async kill(victim: { kill(): Promise<unknown> }): Promise<void> {
    await victim.kill()
    this.kills += 1
  }

  /** One more fault; how long until the system has caught up with what waited when it was over. */
  async recovery(lab: Lab): Promise<void> {
    this.injected += 1
    const from = performance.now()
    while (!(await hasCaughtUp(lab, performance.now() - from))) {
      if (performance.now() - from > 60_000) throw new Error('the system has not recovered within a minute')
      await wait(20)
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
