import type { Result } from './run.ts'

const columns: readonly { readonly title: string; readonly cell: (result: Result) => string | number }[] = [
  { title: 'store', cell: ({ store }) => store },
  { title: 'broker', cell: ({ publisher }) => publisher },
  { title: 'fault', cell: ({ fault }) => fault },
  { title: 'entries', cell: ({ entries }) => entries },
  { title: 'per second', cell: ({ entriesPerSecond }) => Math.round(entriesPerSecond) },
  { title: 'faults', cell: ({ injected }) => injected },
  { title: 'SIGKILLs', cell: ({ kills }) => kills },
  { title: 'lost', cell: ({ lost }) => lost.length },
  { title: 'out of order', cell: ({ outOfOrder }) => outOfOrder.length },
  { title: 'leaked', cell: ({ leaked }) => leaked.length },
  { title: 'dead', cell: ({ dead }) => dead },
  { title: 'step back', cell: ({ repeats }) => repeats.stepBack },
  { title: 'echo', cell: ({ repeats }) => repeats.echo },
  { title: 'unanswered', cell: ({ repeats }) => repeats.unanswered },
  { title: 'dropped', cell: ({ dropped }) => dropped },
  { title: 'in time', cell: ({ recoveries, timelyRecoveries }) => `${timelyRecoveries} of ${recoveries}` },
  { title: 'recovery, median', cell: ({ medianRecoveryMs }) => seconds(medianRecoveryMs) },
  { title: 'worst', cell: ({ worstRecoveryMs }) => seconds(worstRecoveryMs) },
  { title: 'caught up, median', cell: ({ medianCatchUpMs }) => seconds(medianCatchUpMs) },
  { title: 'worst', cell: ({ worstCatchUpMs }) => seconds(worstCatchUpMs) },
]

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

/** The table of a run, in Markdown. */
export function tableOf(results: readonly Result[]): string {
  const rows = results.map((result) => columns.map(({ cell }) => String(cell(result))))
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(' | ')} |`
  return [
    line(columns.map(({ title }) => title)),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map(line),
  ].join('\n')
}
