/** One line of a chart. */
export interface Line {
  readonly name: string
  readonly color: string
  readonly points: readonly (readonly [atMs: number, value: number])[]
}

/** Lines that share a scale, which begins at 0. */
export interface Panel {
  readonly title: string
  readonly lines: readonly Line[]
}

const width = 900
const panelHeight = 130
const plot = { left: 60, right: 20, top: 30, bottom: 16 }
const plotWidth = width - plot.left - plot.right
const plotHeight = panelHeight - plot.top - plot.bottom

/**
 * Panels above each other over one axis of time, as SVG; `marks` are thin lines through all of them.
 *
 * A line ends where two points are further apart than `gapMs`, and begins again behind: nobody measured in between.
 */
export function chart(
  panels: readonly Panel[],
  marks: readonly { readonly atMs: number; readonly name: string }[],
  { untilMs, gapMs }: { readonly untilMs: number; readonly gapMs: number },
): string {
  const x = (atMs: number): number => plot.left + (atMs / untilMs) * plotWidth
  const height = panels.length * panelHeight + 30
  const body = panels.map((panel, place) => drawn(panel, place * panelHeight, x, gapMs))
  const lines = marks.map(
    ({ atMs, name }) =>
      `<line x1="${at(x(atMs))}" x2="${at(x(atMs))}" y1="${plot.top}" y2="${height - 30}" stroke="#d33" stroke-opacity="0.25"><title>${escaped(name)}</title></line>`,
  )
  const minutes = Array.from({ length: 6 }, (_, place) => (untilMs * place) / 5)
  const axis = minutes.map((atMs) => text(x(atMs), height - 14, `${(atMs / 60_000).toFixed(1)} min`, 'middle'))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<title>A long run: memory, handles, connections, lag and table size over time</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${[...lines, ...body, ...axis].join('\n')}
</svg>
`
}

function drawn({ title, lines }: Panel, top: number, x: (atMs: number) => number, gapMs: number): string {
  const most = Math.max(1e-9, ...lines.flatMap(({ points }) => points.map(([, value]) => value)))
  const base = top + panelHeight - plot.bottom
  const y = (value: number): number => base - (value / most) * plotHeight
  const names = lines.map(({ name, color }, place) =>
    text(plot.left + 220 + place * 150, top + 18, name, 'start', color),
  )
  const paths = lines.map(({ color, points }) => {
    const steps = points.map(([atMs, value], place) => {
      const before = points[place - 1]
      const isNew = before === undefined || atMs - before[0] > gapMs
      return `${isNew ? 'M' : 'L'}${at(x(atMs))} ${at(y(value))}`
    })
    return `<path d="${steps.join('')}" fill="none" stroke="${color}" stroke-width="1.5"/>`
  })
  return [
    `<line x1="${plot.left}" x2="${width - plot.right}" y1="${base}" y2="${base}" stroke="#999"/>`,
    text(plot.left, top + 18, title, 'start', '#000'),
    text(plot.left - 6, y(most) + 4, figure(most), 'end'),
    text(plot.left - 6, base + 4, '0', 'end'),
    ...names,
    ...paths,
  ].join('\n')
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end', color = '#555'): string {
  return `<text x="${at(x)}" y="${at(y)}" text-anchor="${anchor}" fill="${color}">${escaped(content)}</text>`
}

function figure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2)
}

function at(coordinate: number): string {
  return coordinate.toFixed(1)
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
