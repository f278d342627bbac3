import type { BrokenBy } from './broken-by.ts'

export interface Suspects {
  readonly title: string
  /** the beginning of the sentence that `breaks` completes */
  readonly sentence: string
  readonly saboteurs: readonly BrokenBy<unknown>[]
}

/**
 * The table of what was broken and which checks noticed.
 *
 * @throws {Error} if a saboteur was not run: a table of a part would tell less than the suites do
 */
export function saboteursPage(
  suspects: readonly Suspects[],
  noticed: ReadonlyMap<BrokenBy<unknown>, readonly string[]>,
): string {
  const all = suspects.flatMap(({ saboteurs }) => saboteurs)
  const missing = all.filter((saboteur) => !noticed.has(saboteur))
  if (missing.length > 0) {
    throw new Error(`Run the whole file: ${missing.length} of ${all.length} saboteurs were not run, or not caught.`)
  }
  const parts = [
    '# Who tests the suites',
    `Written by a test run: ${all.length} adapters that are broken on purpose, and the checks that noticed. Every check of [CHECKS.md](CHECKS.md) stands here at least once. The broken adapters are the memory store, inbox and publisher with one thing changed: [their source](../memory/test/sabotage).`,
    ...suspects.flatMap(({ title, sentence, saboteurs }) => [
      `## ${title}`,
      table(
        [sentence, 'caught by'],
        saboteurs.map((each) => [each.breaks, (noticed.get(each) ?? []).map((id) => `\`${id}\``).join(', ')] as const),
      ),
    ]),
  ]
  return `${parts.join('\n\n')}\n`
}

type Cells = readonly [string, string]

/** Padded, as the formatter would have it. */
function table(head: Cells, rows: readonly Cells[]): string {
  const width = (column: 0 | 1): number => Math.max(...[head, ...rows].map((cells) => cells[column].length))
  const line = ([first, second]: Cells, fill: string): string =>
    `| ${first.padEnd(width(0), fill)} | ${second.padEnd(width(1), fill)} |`
  return [line(head, ' '), line(['', ''], '-'), ...rows.map((cells) => line(cells, ' '))].join('\n')
}
