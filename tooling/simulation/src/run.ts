import type { Message, Poison } from './broker.ts'
import { Faults } from './faults.ts'
import type { History } from './history.ts'
import type { Plan } from './plan.ts'
import { type Parts, type World, worldOf } from './world.ts'

export type { Parts } from './world.ts'

/** What a run leaves for the checker. */
export interface Outcome {
  readonly plan: Plan
  readonly history: History
  /** what the broker holds at the end */
  readonly log: readonly Message[]
  readonly poison: ReadonlyMap<string, Poison>
  /** when the storm was over, and when everything had come to rest, or time was up */
  readonly calmAt: number
  readonly endedAt: number
  /** ids that stand as dead letters at the end */
  readonly dead: ReadonlySet<string>
  readonly pending: number
  readonly steps: number
}

/** Time that the world has, once it is well, to come to rest. */
const calmMs = 240_000
/** operators look after a store this often */
const careMs = 2_000

/** Runs one plan from beginning to end. Deterministic: the same plan and parts give the same history. */
export async function run(plan: Plan, parts: Parts): Promise<Outcome> {
  const world = worldOf(plan, parts)
  const calmAt = await storm(world)
  const endedAt = await calm(world, calmAt)
  await shares(world, calmAt)
  const { outbox, history, broker, poison, timeline } = world
  const { pending } = await outbox.stats()
  const letters = await outbox.deadLetters.list({ limit: 10_000 })
  await end(world)
  return {
    plan,
    history,
    log: broker.log,
    poison,
    calmAt,
    endedAt,
    dead: new Set(letters.map(({ entry }) => entry.id)),
    pending,
    steps: timeline.steps,
  }
}

/** Producers and relays at work, and everything that goes wrong. @returns when it was over */
async function storm(world: World): Promise<number> {
  const { plan, timeline, fleet, workload } = world
  const faults = new Faults(world)
  for (let index = 0; index < plan.relays + plan.lateRelays; index++) {
    if (index < plan.relays) fleet.start(index)
    else timeline.after(((index + 1) * plan.stormMs) / (plan.relays + plan.lateRelays + 1), () => fleet.start(index))
  }
  for (const fault of plan.faults) timeline.after(fault.at, () => faults.begin(fault))
  let isProduced = false
  const produced = workload.run().then(() => {
    isProduced = true
  })
  await timeline.run(plan.stormMs)
  faults.end()
  const calmAt = timeline.now
  await timeline.run(calmAt + calmMs, () => isProduced)
  await produced
  return calmAt
}

/** Waits until nothing is pending, or time is up. @returns when that was */
async function calm(world: World, calmAt: number): Promise<number> {
  const { timeline } = world
  while (timeline.now < calmAt + calmMs && !(await isAtRest(world))) await timeline.run(timeline.now + careMs)
  return timeline.now
}

/** Where dead letters block, somebody must look after them. */
async function isAtRest({ plan, outbox, history, ledger }: World): Promise<boolean> {
  const { pending, dead } = await outbox.stats()
  if (plan.relay.onDead === 'skip' || dead === 0) return pending === 0
  const letters = await outbox.deadLetters.list({ limit: 1_000 })
  const ids = letters.map(({ entry }) => entry.id)
  for (const id of ids) {
    history.record({ kind: 'discarded', id })
    ledger.discard(id)
  }
  await outbox.deadLetters.discard(ids)
  return false
}

/**
 * When everybody has come back, and every hand-over is done, each relay has its share of the partitions: but for what
 * was sent while the database was slow, such as a join that arrives when its sender has long given it up.
 */
async function shares({ plan, timeline, fleet, history, network }: World, calmAt: number): Promise<void> {
  network.lose('database', calmAt)
  network.calm() // two slow answers in a row are longer than the shortest lease, and are no rest
  const longestMs = Math.max(0, ...plan.faults.map((fault) => ('forMs' in fault ? fault.forMs : 0)))
  await timeline.run(timeline.now + 4 * plan.relay.leaseMs + longestMs + 10_000)
  const restedAt = timeline.now
  await timeline.run(restedAt + 3 * plan.relay.leaseMs)
  const grants = history.all('granted').filter(({ at }) => at > restedAt).length
  if (grants > 0) {
    history.record({ kind: 'violation', rule: 'nothing-thrashes', text: `at rest, ${grants} partitions changed hands` })
  }
  const held = fleet.shares
  const fair = held.every((share) => share >= Math.floor(64 / held.length) && share <= Math.ceil(64 / held.length))
  if (held.length > 0 && fair && held.reduce((sum, share) => sum + share, 0) === 64) return
  const text = `at rest, ${held.length} relays hold ${held.join(', ')} partitions (lease ${plan.relay.leaseMs} ms)`
  history.record({ kind: 'violation', rule: 'fair-share', text })
}

/** All relays end, and leave nothing behind. */
async function end({ plan, timeline, fleet, history, outbox }: World): Promise<void> {
  fleet.close()
  let isEnded = false
  const ended = fleet.end().then(() => {
    isEnded = true
  })
  await timeline.run(timeline.now + 10 * plan.relay.drainMs, () => isEnded)
  if (!isEnded) {
    history.record({ kind: 'violation', rule: 'stop', text: 'a relay did not stop' })
    return
  }
  await ended
  await timeline.run(timeline.now + 5_000)
  const { relays } = await outbox.poll({ holder: 'an observer' })
  // a lease whose holder is no member is free
  if (relays.length > 0) {
    history.record({ kind: 'violation', rule: 'stop', text: `${relays.length} members were left behind` })
  }
}
