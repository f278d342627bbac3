import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { runNode } from './command.ts'
import { startServerPool } from './fresh-servers.ts'
import { runSteps } from './report.ts'
import { writeSnippets } from './snippet-files.ts'
import { sourceOf } from './snippets.ts'

/**
 * Runs the snippets that say `run`, each with servers of its own. One that never ends by itself has a driver of the
 * same name in `drivers/`, which loads it and ends when it has seen what it waited for.
 */
const files = (await writeSnippets()).filter(({ snippet }) => snippet.isRun)
await using pool = startServerPool()
await runSteps(
  files.map(({ snippet, path }) => ({
    name: `${snippet.document} ${snippet.name}`,
    check: async () => {
      await using servers = await pool.freshFor(sourceOf(snippet))
      const driver = fileURLToPath(new URL(`drivers/${snippet.name}.ts`, import.meta.url))
      const program = existsSync(driver) ? [driver, path] : [path]
      await runNode(['--conditions=@outbox/source', ...program], { env: servers.env, timeoutMs: 240_000 })
      return undefined
    },
  })),
)
