import { describe, it } from 'vitest'
import { type ServiceName, services } from './catalogue.ts'
import { findProgram, type Wanted } from './installed.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** names of the servers for want of which a suite was left out */
    missingServers?: readonly ServiceName[]
  }
}

/** A server that a suite cannot do without. */
export type Need =
  /** any running one: named by the environment, or started for the run */
  | ServiceName
  /** one of the suite's own, to be killed and restarted: a program on this machine */
  | ({ readonly own: ServiceName } & Wanted)

/**
 * `describe` for tests that need real servers.
 *
 * Where one is missing, the suite is skipped and the run's closing lines say so; with CI=true it fails instead.
 * `suite` must reach for its servers in hooks and tests only: it also runs where they are missing, to count the tests.
 */
export function describeWith(needs: Need | readonly Need[], name: string, suite: () => void): void {
  const missing = [needs].flat().filter(isMissing).map(serviceOf)
  if (missing.length === 0) {
    describe(name, suite)
  } else if (process.env['CI'] === 'true') {
    describe(name, () => {
      for (const service of missing) {
        it(`finds ${services[service].title}`, () => {
          throw new Error(`${services[service].title} is missing: ${services[service].howToGet}`)
        })
      }
    })
  } else {
    describe(name, { skip: true, meta: { missingServers: missing } }, suite)
  }
}

/** Whether what a suite needs is there, for the rare test that decides for itself. */
export function isAvailable(need: Need): boolean {
  return !isMissing(need)
}

function isMissing(need: Need): boolean {
  if (typeof need === 'string') return !process.env[services[need].variable] && findProgram(need) === undefined
  return findProgram(need.own, need) === undefined
}

function serviceOf(need: Need): ServiceName {
  return typeof need === 'string' ? need : need.own
}
