import { writeSync } from 'node:fs'
import type { Reporter, SerializedError, TestModule, TestSuite } from 'vitest/node'
import { type ServiceName, services } from './catalogue.ts'
import './describe-with.ts'

/** What a run came to. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** tests left out, and the files they stand in, by the server that was missing */
  readonly leftOut: ReadonlyMap<ServiceName, { readonly tests: number; readonly files: ReadonlySet<string> }>
}

/**
 * Counts a run. A file or a suite that broke outside of its tests, an error that no test caught and a test that
 * never ended count as failed.
 */
export function tally(modules: readonly TestModule[], unhandled: readonly SerializedError[]): Tally {
  const count = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 }
  const leftOut = new Map<ServiceName, { tests: number; files: Set<string> }>()
  for (const module of modules) {
    if (module.errors().length > 0) count.failed += 1
    for (const test of module.children.allTests()) count[test.result().state] += 1
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length > 0) count.failed += 1
      for (const name of missingServers(suite)) {
        const sum = leftOut.get(name) ?? { tests: 0, files: new Set() }
        sum.tests += [...suite.children.allTests()].length
        sum.files.add(module.relativeModuleId)
        leftOut.set(name, sum)
      }
    }
  }
  return { passed: count.passed, failed: count.failed + count.pending, skipped: count.skipped, leftOut }
}

/** The servers for want of which this suite was left out, and not already the one around it, which hands its own down. */
function missingServers(suite: TestSuite): readonly ServiceName[] {
  const counted = suite.parent.meta().missingServers ?? []
  return (suite.meta().missingServers ?? []).filter((name) => !counted.includes(name))
}

/** The last lines of a run: what was left out, loudly, then `N passed, N failed`. */
export function closingLines({ passed, failed, skipped, leftOut }: Tally): string {
  const missing = [...leftOut].flatMap(([name, { tests, files }]) => [
    `  ${services[name].title}: ${plural(tests, 'test')} in ${plural(files.size, 'file')} not run`,
    `    to run them: ${services[name].howToGet}`,
  ])
  const warning = missing.length === 0 ? [] : ['', 'LEFT OUT, because real servers are missing here:', ...missing, '']
  const total = `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
  return `${[...warning, total].join('\n')}\n`
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** Prints the closing lines when the process exits, after every other reporter. */
export class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const lines = closingLines(tally(modules, unhandled))
    // written at once, not queued: nothing is flushed after 'exit'
    process.once('exit', () => writeSync(process.stdout.fd, lines))
  }
}
