import { checkArrows } from './arrows.ts'
import { checkChangesets } from './changesets.ts'
import { run } from './command.ts'
import { checkLoadedCode } from './loaded-code.ts'
import { checkPublishedPackages } from './published-packages.ts'
import type { Step } from './report.ts'
import { checkSizes } from './sizes.ts'
import { checkSnippets } from './snippet-files.ts'

const silently = async (work: Promise<unknown>): Promise<undefined> => {
  await work
  return undefined
}

/** What `pnpm check` looks at, in the order in which it runs: later ones use what `build` built. */
export const steps: readonly Step[] = [
  { name: 'build', check: () => silently(run('tsc', ['-b', '--pretty', 'false'])) },
  { name: 'types', check: () => silently(run('tsc', ['-p', 'tsconfig.test.json', '--pretty', 'false'])) },
  { name: 'lint', check: () => silently(run('biome', ['check', '--error-on-warnings', '--max-diagnostics=200', '.'])) },
  { name: 'promises', check: () => silently(run('oxlint', ['--tsconfig', 'tsconfig.test.json', '--deny-warnings'])) },
  { name: 'unused', check: () => silently(run('knip', ['--no-config-hints'])) },
  {
    name: 'arrows',
    check: () => {
      checkArrows()
      return undefined
    },
  },
  { name: 'changesets', check: checkChangesets },
  { name: 'code', check: checkLoadedCode },
  { name: 'snippets', check: checkSnippets },
  { name: 'sizes', check: checkSizes },
  { name: 'packages', check: () => silently(checkPublishedPackages()) },
]
