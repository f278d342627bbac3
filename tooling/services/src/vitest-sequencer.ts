import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Each takes minutes of one process: begun last, they would keep all waiting at the end. The longest first. */
export const longest: readonly string[] = [
  'simulation/test/mutants.test.ts',
  'end-to-end/test/fleets.test.ts',
  'end-to-end/test/every-pair.test.ts',
  'bench/test/smoke.test.ts',
  'end-to-end/test/poison.test.ts',
  'end-to-end/test/outages.test.ts',
  'end-to-end/test/zombies.test.ts',
]

/** The order in which test files begin: vitest's own, behind those that are known to take long. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = longest.findIndex((file) => moduleId.endsWith(file))
  return rank === -1 ? longest.length : rank
}
