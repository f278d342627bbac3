import { writeSync } from 'node:fs'
import type { Reporter, SerializedError, TestModule, TestSuite } from 'vitest/node'
import { type ServiceName, services } from './catalogue.ts'
import './describe-with.ts'

/** What a run came to. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** what each failure was, a line each: where, and the first line of its error and of what caused that */
  readonly failures: readonly string[]
  /** tests left out, and the files they stand in, by the server that was missing */
  readonly leftOut: ReadonlyMap<ServiceName, { readonly tests: number; readonly files: ReadonlySet<string> }>
}

/**
 * Counts a run. A file or a suite that broke outside of its tests, an error that no test caught and a test that
 * never ended count as failed.
 */
export function tally(modules: readonly TestModule[], unhandled: readonly SerializedError[]): Tally {
  const count = { passed: 0, failed: unhandled.length, skipped: 0, pending: 0 }
  const failures = unhandled.map((error) => `outside of a test: ${firstLine([error])}`)
  const leftOut = new Map<ServiceName, { tests: number; files: Set<string> }>()
  for (const module of modules) {
    const file = module.relativeModuleId
    const noteErrors = (place: string, errors: readonly SerializedError[]): void => {
      if (errors.length === 0) return
      count.failed += 1
      failures.push(`${place}: ${firstLine(errors)}`)
    }
    noteErrors(file, module.errors())
    for (const test of module.children.allTests()) {
      const { state, errors } = test.result()
      count[state] += 1
      if (state === 'failed') failures.push(`${file} > ${test.fullName}: ${firstLine(errors)}`)
      if (state === 'pending') failures.push(`${file} > ${test.fullName}: never ended`)
    }
    for (const suite of module.children.allSuites()) {
      noteErrors(`${file} > ${suite.fullName}`, suite.errors())
      for (const name of missingServers(suite)) {
        const sum = leftOut.get(name) ?? { tests: 0, files: new Set() }
        sum.tests += [...suite.children.allTests()].length
        sum.files.add(file)
        leftOut.set(name, sum)
      }
    }
  }
  return { passed: count.passed, failed: count.failed + count.pending, skipped: count.skipped, failures, leftOut }
}

/** The first line of what went wrong, and of each of its causes: of a property that failed, the message tells nothing. */
function firstLine(errors: readonly SerializedError[] | undefined): string {
  const lines: string[] = []
  // a cause may be anything
  for (let error = errors?.[0]; error?.message !== undefined; error = error.cause) {
    lines.push(error.message.split('\n', 1)[0] ?? '')
  }
  return lines.join(' · caused by: ') || 'no message'
}

/** The servers for want of which this suite was left out, and not already the one around it, which hands its own down. */
function missingServers(suite: TestSuite): readonly ServiceName[] {
  const counted = suite.parent.meta().missingServers ?? []
  return (suite.meta().missingServers ?? []).filter((name) => !counted.includes(name))
}

/** The last lines of a run: what was left out, loudly, what failed, then `N passed, N failed`. */
export function closingLines({ passed, failed, skipped, failures, leftOut }: Tally): string {
  const missing = [...leftOut].flatMap(([name, { tests, files }]) => [
    `  ${services[name].title}: ${plural(tests, 'test')} in ${plural(files.size, 'file')} not run`,
    `    to run them: ${services[name].howToGet}`,
  ])
  const warning = missing.length === 0 ? [] : ['', 'LEFT OUT, because real servers are missing here:', ...missing, '']
  const total = `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
  return `${[...warning, ...failures.map((failure) => `FAILED ${failure}`), total].join('\n')}\n`
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
