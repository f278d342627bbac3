import { defineConfig } from 'vitest/config'
import { plainReporter } from './plain-reporter.ts'

/** Only inside this repository: its packages resolve to their source, so that no build is needed. */
const conditions = ['@outbox/source', 'module', 'node', 'development|production']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: { execArgv: ['--conditions=@outbox/source'], reporters: [plainReporter], hookTimeout: 60_000 },
})
