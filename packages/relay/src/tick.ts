import type { RelayContext } from './context.ts'
import { type Counters, progressOf } from './counters.ts'
import type { Lane } from './lane.ts'
import type { Leases } from './leases.ts'
import { keptForMs } from './options.ts'
import { pause } from './pause.ts'

/** After so many polls that find work due and get none of it, a tick ends. */
const maxIdlePolls = 2

export interface TickContext extends RelayContext {
  readonly leases: Leases
  readonly lanes: readonly Lane[]
  readonly counters: Counters
  /** false: the relay stops, or nothing can leave */
  readonly mayGoOn: () => boolean
}

/**
 * Works until nothing is due, or what is due cannot be had; for a relay that does not run.
 *
 * @returns whether nothing is due any more
 */
export async function drainAll(context: TickContext, signal: AbortSignal): Promise<boolean> {
  const { clock, pollIntervalMs } = context.settings
  let idlePolls = 0
  while (!signal.aborted && context.mayGoOn()) {
    const { due, dueElsewhere, isContested, isMember, failure } = await context.leases.poll()
    if (failure) throw failure.error
    if (isMember && due.length === 0 && !isContested) return dueElsewhere.length === 0
    const isDoing = due.length > 0 && (await drainLanes(context, signal))
    if (isDoing || !isMember) continue
    // Due and not to be had: the holder may be dead, which further polls tell, or the store needs another moment.
    if (!isContested && ++idlePolls > maxIdlePolls) return false
    await pause(clock, pollIntervalMs, signal)
  }
  return false
}

/**
 * Nobody renews the leases meanwhile, so it ends when they do: a settle that the store does not hear is given up.
 *
 * @returns whether anything came of it
 */
async function drainLanes({ settings, lanes, counters }: TickContext, signal: AbortSignal): Promise<boolean> {
  const before = progressOf(counters)
  const leasesEnd = new AbortController()
  const cancel = settings.clock.schedule(() => leasesEnd.abort(), keptForMs(settings))
  const abort = AbortSignal.any([signal, leasesEnd.signal])
  await Promise.all(lanes.map((lane) => lane.drain(abort)))
  cancel()
  return progressOf(counters) > before
}
