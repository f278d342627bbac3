import type { Scenario } from './scenario.ts'
import { drain } from './scenarios/drain.ts'
import { endToEnd } from './scenarios/end-to-end.ts'
import { enqueue } from './scenarios/enqueue.ts'
import { footprint } from './scenarios/footprint.ts'
import { growth } from './scenarios/growth.ts'
import { idle } from './scenarios/idle.ts'
import { latency } from './scenarios/latency.ts'
import { profile } from './scenarios/profile.ts'
import { publish } from './scenarios/publish.ts'

/** Every scenario by name, in the order in which they are run and shown. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  drain,
  publish,
  'end-to-end': endToEnd,
  enqueue,
  latency,
  idle,
  growth,
  footprint,
  profile,
}
