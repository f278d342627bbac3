import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { chart } from './chart.ts'
import { growthPerHour, MB, mostGrowthPerHour, settledFromMs } from './growth.ts'
import { type Measured, pointsOf } from './sample.ts'
import type { SoakResult } from './soak.ts'

export function chartOf({ samples, marks, options }: SoakResult): string {
  const line = (name: string, color: string, what: Measured, unit: number) => ({
    name,
    color,
    points: pointsOf(samples, what).map(([atMs, value]) => [atMs, value / unit] as const),
  })
  return chart(
    [
      {
        title: 'memory of the untouched relay, MB',
        lines: [line('RSS', '#06c', 'rssBytes', MB), line('heap', '#080', 'heapBytes', MB)],
      },
      { title: 'its handles', lines: [line('', '#06c', 'handles', 1)] },
      {
        title: 'connections of all processes',
        lines: [line('database', '#06c', 'databaseConnections', 1), line('broker', '#080', 'brokerConnections', 1)],
      },
      { title: 'age of the oldest pending entry, s', lines: [line('', '#06c', 'lagMs', 1_000)] },
      { title: 'pending entries', lines: [line('', '#06c', 'pending', 1)] },
      { title: 'size of the table, MB', lines: [line('', '#06c', 'tableBytes', MB)] },
    ],
    marks,
    { untilMs: Math.max(1, samples.at(-1)?.atMs ?? 0), gapMs: 4 * options.sampleEveryMs },
  )
}

/** The page; `chartFile` is the name of the picture beside it. */
export function pageOf(result: SoakResult, chartFile: string): string {
  const { options, samples, audit, marks, servers, faults } = result
  const { repeats } = audit
  const held = (what: Measured): string => {
    const values = pointsOf(samples, what).filter(([atMs]) => atMs >= settledFromMs(samples))
    const growth = growthPerHour(samples, what)
    const average = values.reduce((sum, [, value]) => sum + value, 0) / values.length / MB
    return `${average.toFixed(1)} MB on average, ${growth === undefined ? 'too few samples for a slope' : `${signed(growth)} MB an hour`}`
  }
  const troubles = [...Map.groupBy(marks, ({ name }) => name)].map(([name, all]) => `${all.length} × ${name}`)
  const rows: readonly (readonly [what: string, figure: string])[] = [
    ['length', `${options.minutes} min`],
    ['load', `${options.entriesPerSecond} entries a second wanted, ${audit.entries} committed`],
    ['troubles', `${marks.length}: ${troubles.join(', ')}`],
    ['recovery from a trouble', `median ${seconds(result.medianRecoveryMs)}, worst ${seconds(result.worstRecoveryMs)}`],
    ['**lost, leaked, out of order**', `**${audit.lost.length}, ${audit.leaked.length}, ${audit.outOfOrder.length}**`],
    ['dead letters', String(audit.dead)],
    ['repeats in the stream', `${repeats.stepBack} step back, ${repeats.echo} echo, ${repeats.unanswered} unanswered`],
    ['purged meanwhile', String(result.purged)],
    [`RSS after ${seconds(settledFromMs(samples))}`, held('rssBytes')],
    [`heap after ${seconds(settledFromMs(samples))}`, held('heapBytes')],
    ['verdict', faults.length === 0 ? 'nothing is wrong' : `**wrong**: ${faults.join('; ')}`],
    ['on', `${[...servers, `Node ${process.versions.node}`].join(', ')}; ${machine()}`],
  ]
  return `# A long run

This page is written by \`pnpm soak\`. A whole system runs under constant load, with troubles by chance: three relays, three producers, a database and a broker as processes of their own. One relay is never touched: it lives through what happens to the others, the database and the broker, and its memory is measured. Published entries are purged all the time, as in production.

\`\`\`sh
npx pnpm@12.21.0 soak --minutes ${options.minutes} --store ${options.store} --publisher ${options.publisher} --entries-per-second ${options.entriesPerSecond}
\`\`\`

![Memory, handles, connections, lag and table size over time](${chartFile})

Each red line is a trouble. A gap in a line means that nobody could be asked, because the database was away.

${tableOf(rows)}

The processes run compiled, with drizzle-orm bundled. Where a broker drops repeats, the stream shows none.

Garbage is collected before each sample, ${seconds(options.sampleEveryMs)} apart, so the figures are what the process holds. The slopes are straight lines by least squares. The shorter the run, the less a slope means: a cache that fills, or a page that the system has not taken back, weighs a lot when minutes are stretched to an hour. A run that is longer than its warm-up is wrong where the relay's RSS grows by more than ${mostGrowthPerHour} MB an hour, ten times what such a page has shown, and by more than stretched noise. PostgreSQL's table grows until vacuum keeps pace with the purge, which takes longer than a short run.
`
}

/** Two columns, padded as the formatter wants them. */
function tableOf(rows: readonly (readonly [what: string, figure: string])[]): string {
  const all = [['what', 'figure'] as const, ...rows]
  const [left, right] = [0, 1].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = ([what, figure]: readonly [string, string]): string =>
    `| ${what.padEnd(left ?? 0)} | ${figure.padEnd(right ?? 0)} |`
  const [head, ...body] = all.map(line)
  return [head, `| ${'-'.repeat(left ?? 0)} | ${'-'.repeat(right ?? 0)} |`, ...body].join('\n')
}

function signed(number: number): string {
  return `${number < 0 ? '−' : '+'}${Math.abs(number).toFixed(1)}`
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`
}

function machine(): string {
  const processors = cpus()
  const model = `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`
  const memory = `${(totalmem() / 1_000 ** 3).toFixed(0)} GB`
  const load = loadavg()[1]?.toFixed(1)
  return `${model}, ${memory}, ${type()} ${release()}; load average at the end, all that ran there included: ${load}`
}
