import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { compileCache } from './tooling/services/src/node-program.ts'
import { ClosingLineReporter } from './tooling/services/src/vitest-reporter.ts'
import { LongestFirst } from './tooling/services/src/vitest-sequencer.ts'

/** The workspace's packages resolve to their source, so that no build is needed to test. */
const sourceConditions = ['@outbox/source', 'module', 'node', 'development|production']

export default defineConfig({
  resolve: { conditions: sourceConditions },
  ssr: { resolve: { conditions: sourceConditions } },
  test: {
    include: ['{packages,tooling,examples}/*/test/**/*.test.ts', 'bench/test/**/*.test.ts'],
    // for what vitest leaves to Node, and for children started with child_process.fork
    execArgv: ['--conditions=@outbox/source'],
    env: compileCache,
    globalSetup: ['tooling/services/src/shared-servers.ts'],
    reporters: ['default', new ClosingLineReporter()],
    sequence: { sequencer: LongestFirst },
    // most tests wait for servers, processes and leases, and not for a CPU
    maxWorkers: Math.max(3, availableParallelism()),
    // generous, because a machine may be busy: a test that hangs is named by what it waited for long before
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 30_000,
  },
})
