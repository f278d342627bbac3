import { describeWith } from '@outbox/services'
import { describe, expect, it } from 'vitest'
import { chart } from '../src/chart.ts'
import { outgrown } from '../src/growth.ts'
import { chartOf, pageOf } from '../src/page.ts'
import { pointsOf, type Sample, slopeOf } from '../src/sample.ts'
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

describe('the memory of the untouched relay', () => {
  const sample = (seconds: number, rssBytes: number | null): Sample => ({
    ...{ atMs: seconds * 1_000, rssBytes, heapBytes: null, handles: null, lagMs: null, pending: null },
    ...{ databaseConnections: 0, brokerConnections: 0, tableBytes: null },
  })
  /** samples of so many minutes, with so much growth after the warm-up */
  const run = (minutes: number, megabytesAnHour: number): readonly Sample[] =>
    Array.from({ length: minutes * 30 }, (_, index) => {
      const seconds = index * 2
      const noise = index % 2 === 0 ? 2e6 : -2e6
      return sample(seconds, 100e6 + noise + (megabytesAnHour * 1e6 * seconds) / 3_600)
    })

  it('is wrong when it grows by more than it may', () => {
    expect(outgrown(run(15, 24))).toEqual([])
    expect(outgrown(run(15, 1_000))).toEqual(['RSS grew by 1000 MB an hour, more than 250'])
  })
  it('may vary in a run that is hardly longer than its warm-up, and in one that is shorter', () => {
    expect(outgrown(run(5, 300))).toEqual([])
    expect(outgrown(run(5, 60_000))).toHaveLength(1)
    expect(outgrown(run(3, 60_000))).toEqual([])
  })
  it('is wrong when nobody knows it', () => {
    expect(outgrown(run(15, 0).map(({ atMs }) => sample(atMs / 1_000, null)))).toHaveLength(1)
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
