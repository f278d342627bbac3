import type { Fault, Plan } from './plan.ts'

/**
 * Makes a plan that fails smaller, as long as it still fails: fewer faults first, then a smaller world.
 *
 * @param fails - whether a plan fails; asked again and again, so it should be quick
 * @param maxTries - plans tried, at most
 */
export async function shrink(plan: Plan, fails: (plan: Plan) => Promise<boolean>, maxTries = 300): Promise<Plan> {
  let smallest = plan
  let tries = 0
  const attempt = async (candidate: Plan): Promise<boolean> => {
    tries += 1
    if (tries > maxTries || !(await fails(candidate))) return false
    smallest = candidate
    return true
  }
  let hasShrunk = true
  while (hasShrunk && tries < maxTries) {
    hasShrunk = await withFewerFaults()
    for (const simplify of simplifications) {
      const simpler = simplify(smallest)
      if (JSON.stringify(simpler) !== JSON.stringify(smallest) && (await attempt(simpler))) hasShrunk = true
    }
  }
  return smallest

  /** Leaves out halves, quarters, and so on, down to single faults. */
  async function withFewerFaults(): Promise<boolean> {
    const before = smallest.faults.length
    for (let size = Math.ceil(before / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 0; from < smallest.faults.length; ) {
        const faults: readonly Fault[] = smallest.faults.toSpliced(from, size)
        if (!(await attempt({ ...smallest, faults }))) from += size
      }
    }
    return smallest.faults.length < before
  }
}

/** Each leaves a plan as it is where there is nothing to simplify. */
const simplifications: readonly ((plan: Plan) => Plan)[] = [
  (plan) => ({ ...plan, entries: Math.ceil(plan.entries / 2) }),
  (plan) => ({ ...plan, entries: plan.entries - Math.floor(plan.entries / 8) }),
  (plan) => ({ ...plan, aggregates: Math.ceil(plan.aggregates / 2) }),
  (plan) => ({ ...plan, producers: 1 }),
  (plan) => ({ ...plan, relays: Math.max(1, plan.relays - 1) }),
  (plan) => ({ ...plan, lateRelays: 0 }),
  (plan) => ({ ...plan, rollbackProbability: 0 }),
  (plan) => ({ ...plan, drift: 0 }),
  (plan) => ({ ...plan, poison: { ...plan.poison, deadly: 0 } }),
  (plan) => ({ ...plan, poison: { ...plan.poison, rejected: 0 } }),
  (plan) => ({ ...plan, relay: { ...plan.relay, lanes: 1 } }),
  (plan) => ({ ...plan, broker: { ...plan.broker, takes: 'batch' } }),
]
