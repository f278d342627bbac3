import { publisher, unavailable } from '@outbox/core'
import { expect, it } from 'vitest'
import { type Arrival, harm, type LoadReport, startLoad } from '../src/under-load.ts'

/** Puts a load on a broker of one array, and tells what a check would say of it. */
async function reportOf(
  send: (entry: Arrival, arrived: Arrival[]) => void,
  probe: () => Promise<void> = async () => undefined,
): Promise<LoadReport> {
  const arrived: Arrival[] = []
  await using load = await startLoad([arrived], (list, name) => ({
    ...publisher({ name, send: (entry) => send(entry, list) }),
    probe,
  }))
  await load.progress(50)
  const [report] = await load.finish(async () => arrived)
  if (!report) throw new Error('there is no report')
  return report
}

const isThird = ({ aggregateId, sequence }: Arrival): boolean => aggregateId === '2' && sequence === 3

it('a broker that keeps everything does no harm', async () => {
  expect(harm(await reportOf((entry, arrived) => arrived.push(entry)))).toEqual([])
})

it('what is lost, stored twice, or stored too late is found', async () => {
  const losing = await reportOf((entry, arrived) => isThird(entry) || arrived.push(entry))
  expect(harm(losing)).toEqual(['2/3 is missing'])
  const repeating = await reportOf((entry, arrived) => arrived.push(...(isThird(entry) ? [entry, entry] : [entry])))
  expect(harm(repeating)).toEqual(['2/3 arrived again'])
  let late: Arrival | undefined
  const reordering = await reportOf((entry, arrived) => {
    if (isThird(entry)) late = entry
    else arrived.push(entry, ...(late && entry.aggregateId === '2' ? [late] : []))
    if (entry.aggregateId === '2' && !isThird(entry)) late = undefined
  })
  expect(harm(reordering)).toEqual(['2/3 arrived behind a later one'])
})

it('attempts that an entry uses up are found, and those of an outage are not', async () => {
  let failures = 2
  const failTwice = (entry: Arrival, arrived: Arrival[]): void => {
    if (isThird(entry) && failures-- > 0) throw unavailable('it is away', { system: 'broker' })
    arrived.push(entry)
  }
  expect(harm(await reportOf(failTwice))).toEqual(['an entry used up 2 attempts: it is away'])
  failures = 2
  let probes = 0
  const outage = await reportOf(failTwice, async () => {
    if (probes++ % 2 === 0) throw new Error('it is away')
  })
  expect(harm(outage)).toEqual([])
  expect(outage.outages).toBeGreaterThan(0)
})
