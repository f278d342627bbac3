import type { Sample } from './race.ts'
import type { Goal, Heat } from './scenario.ts'
import { perSecond, type Spread, spreadOver } from './statistics.ts'

/** One column: what it shows of a sample, and how. */
interface Column {
  readonly title: string
  readonly measure: (sample: Sample) => number | undefined
}

const perRow = (value: number | undefined, { rows }: Sample): number | undefined =>
  value === undefined || rows === 0 ? undefined : value / rows

const columns: readonly Column[] = [
  { title: 'rows/s', measure: perSecond },
  { title: 'node µs/row', measure: (sample) => perRow(sample.nodeCpuMs * 1000, sample) },
  { title: 'server µs/row', measure: (one) => perRow(one.serverCpuMs && one.serverCpuMs * 1000, one) },
  { title: 'WAL B/row', measure: (sample) => perRow(sample.walBytes, sample) },
  { title: 'dead/row', measure: (sample) => perRow(sample.deadVersions, sample) },
  { title: 'RSS MB', measure: ({ rssBytes }) => rssBytes && rssBytes / 1e6 },
]

export type Table = readonly (readonly string[])[]

/** Header and rows: the median of each figure, and for the rate how far the rounds were apart. */
export function tableOf({ entrants }: Heat): Table {
  const extra = [...new Set(entrants.flatMap(({ samples }) => samples.flatMap(({ figures }) => Object.keys(figures))))]
  const all = [...columns, ...extra.map((title) => ({ title, measure: ({ figures }: Sample) => figures[title] }))]
  const shown = all
    .map(({ title, measure }) => ({ title, cells: entrants.map(({ samples }) => spreadOver(samples, measure)) }))
    .filter(({ cells }) => cells.some((cell) => cell !== undefined))
  return [
    ['', ...shown.map(({ title }) => title)],
    ...entrants.map(({ title }, index) => [
      title,
      ...shown.map((column) => cellOf(column.cells[index], column.title === 'rows/s')),
    ]),
  ]
}

function cellOf(spread: Spread | undefined, withSpread: boolean): string {
  if (spread === undefined) return ''
  const { median, least, most } = spread
  return withSpread && least !== most ? `${figure(median)} (${figure(least)}–${figure(most)})` : figure(median)
}

export function figure(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value === 0 ? '0' : Number(value.toPrecision(3)).toString()
}

/** A table for a terminal. */
export function printed(table: Table): string {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)))
  return table
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))),
    )
    .map((row) => row.join('  ').trimEnd())
    .join('\n')
}

export function printedGoal({ goal, measured, isMet, note }: Goal): string {
  const verdict = isMet === undefined ? '-' : isMet ? 'met' : 'NOT MET'
  return `${verdict.padEnd(8)} ${goal}: ${measured}${note === undefined ? '' : `, ${note}`}`
}
