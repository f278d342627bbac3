/** One bar of a chart. */
export interface Bar {
  readonly name: string
  readonly color: string
  readonly value: number
  readonly least: number
  readonly most: number
  /** what is written beside it */
  readonly label: string
}

const width = 900
const left = 230
const right = 120
const barHeight = 22
const top = 40

/** Bars beside each other's names, from 0, with a thin line from the least to the most of the rounds; as SVG. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const longest = Math.max(1e-9, ...bars.map(({ most }) => most))
  const x = (value: number): number => left + (value / longest) * (width - left - right)
  const height = top + bars.length * (barHeight + 8) + 10
  const drawn = bars.map(({ name, color, value, least, most, label }, index) => {
    const y = top + index * (barHeight + 8)
    const middle = y + barHeight / 2
    return [
      `<text x="${left - 8}" y="${middle + 4}" text-anchor="end" fill="#333">${escaped(name)}</text>`,
      `<rect x="${left}" y="${y}" width="${at(x(value) - left)}" height="${barHeight}" fill="${color}"/>`,
      `<line x1="${at(x(least))}" x2="${at(x(most))}" y1="${middle}" y2="${middle}" stroke="#222"/>`,
      `<text x="${at(x(most) + 6)}" y="${middle + 4}" fill="#333">${escaped(label)}</text>`,
    ].join('\n')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">
<title>${escaped(title)}</title>
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="12" y="22" font-size="14" fill="#000">${escaped(title)}</text>
${drawn.join('\n')}
</svg>
`
}

function at(coordinate: number): string {
  return coordinate.toFixed(1)
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
