import { describeWith } from '@outbox/services'
import { describe, expect, it } from 'vitest'
import { chart } from '../src/chart.ts'
import { chartOf, pageOf } from '../src/page.ts'
import { pointsOf, slopeOf } from '../src/sample.ts'
import { soak } from '../src/soak.ts'

describeWith([{ own: 'postgres' }, { own: 'redis' }], 'a soak, much shorter than one should be', () => {
  it('has troubles, loses nothing, and draws what it saw', { timeout: 300_000 }, async () => {
    const result = await soak({
      store: 'postgres',
      publisher: 'redis',
      minutes: 0.25,
      entriesPerSecond: 100,
      sampleEveryMs: 500,
      calmMs: 1_500,
      keepMs: 1_000,
    })
    expect(result.faults).toEqual([])
    expect(result.audit).toMatchObject({ lost: [], leaked: [], outOfOrder: [], dead: 0 })
    expect(result.audit.entries).toBeGreaterThan(100)
    expect(result.marks.length).toBeGreaterThan(0)
    expect(result.purged).toBeGreaterThan(0)
    for (const what of ['rssBytes', 'heapBytes', 'handles', 'lagMs', 'pending', 'tableBytes'] as const) {
      expect(pointsOf(result.samples, what).length, what).toBeGreaterThan(3)
    }
    expect(Math.max(...result.samples.map(({ brokerConnections }) => brokerConnections))).toBeGreaterThanOrEqual(3)
    const picture = chartOf(result)
    expect(picture.match(/<path /g)).toHaveLength(8)
    // one of the picture, and one for each trouble
    expect(picture.match(/<title>/g)).toHaveLength(1 + result.marks.length)
    expect(pageOf(result, 'soak.svg')).toMatch(/out of order\*\* +\| \*\*0, 0, 0\*\* /)
  })
})

describe('the slope', () => {
  it('of a straight line is its own, noise or not', () => {
    expect(
      slopeOf([
        [0, 5],
        [1, 7],
        [2, 9],
      ]),
    ).toBeCloseTo(2)
    expect(
      slopeOf([
        [0, 1],
        [0, 9],
        [10, 1],
        [10, 9],
      ]),
    ).toBeCloseTo(0)
  })
  it('of one moment is none', () => {
    expect(slopeOf([])).toBeUndefined()
    expect(
      slopeOf([
        [1, 1],
        [1, 2],
      ]),
    ).toBeUndefined()
  })
})

describe('a chart', () => {
  it('draws no line where nobody measured', () => {
    const points = [
      [0, 1],
      [10, 1],
      [100, 1],
      [110, 2],
    ] as const
    const picture = chart([{ title: 'a < b', lines: [{ name: 'one', color: '#000', points }] }], [], {
      untilMs: 110,
      gapMs: 20,
    })
    const [, path = ''] = /<path d="([^"]*)"/.exec(picture) ?? []
    expect(path.replace(/[\d. ]+/g, '')).toBe('MLML')
    expect(picture).toContain('a &lt; b')
  })
})
