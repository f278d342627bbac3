import { partitionCount } from '@outbox/core'
import type { NodeChild } from '@outbox/services/spawn-node'
import { waitFor } from '@outbox/services/wait-for'
import { fillOutbox } from '../../backlog.ts'
import type { Contestant } from '../../contestant.ts'
import { isAbout, type RelayMessage, startRelay } from '../../relays.ts'
import { postgresStore } from '../../stores/postgres.ts'

const slowestMs = 30 * 60_000

/** Relays drain a backlog together, to its end; each has its share of the partitions when the time begins. */
export const contestant: Contestant = {
  title: '@outbox',
  role: 'ours',
  guarantee: { order: 'per aggregate', isFenced: true, isDurable: true },
  tuning: 'defaults; each relay in a process of its own, whose CPU is the column “relays µs/row”',
  prepare: fillOutbox,
  async open({ url, rows, relays = 1 }) {
    const { left: pending, close } = await postgresStore().open(url)
    const children = Array.from({ length: relays }, () => startRelay({ url, waits: true }))
    const hasShare = (child: NodeChild): boolean => latest(child, 'partitions')?.held === partitionCount / relays
    await whileAlive(children, () => children.every(hasShare), 'each relay to have its share')
    const sum = (measure: (told: Told<'published'>) => number): number =>
      children.reduce((total, child) => {
        const told = latest(child, 'published')
        return told ? total + measure(told) : total
      }, 0)
    const published = (): number => sum((told) => told.published)
    return {
      async run() {
        for (const child of children) child.send('go')
        await whileAlive(children, () => published() >= rows, 'the backlog to be drained')
        const sizes = children.map((child) => latest(child, 'published')?.rssBytes ?? 0)
        return {
          'relays µs/row': (sum(({ cpuMs }) => cpuMs) * 1000) / rows,
          'largest relay MB': Math.max(...sizes) / 1e6,
        }
      },
      left: async () => (await pending()) + Math.abs(rows - published()),
      async [Symbol.asyncDispose]() {
        await Promise.all(children.map((child) => child.kill()))
        await close()
      },
    }
  },
}

type Told<Kind extends RelayMessage['kind']> = Extract<RelayMessage, { readonly kind: Kind }>

/** What a relay has told last about something. */
function latest<Kind extends RelayMessage['kind']>({ messages }: NodeChild, kind: Kind): Told<Kind> | undefined {
  return messages.findLast(isAbout(kind))
}

async function whileAlive(children: readonly NodeChild[], condition: () => boolean, what: string): Promise<void> {
  const ends = children.map(async (child) => {
    await child.exit
    throw new Error(`a relay ended:\n${child.output()}`)
  })
  await Promise.race([waitFor(condition, { what, timeoutMs: slowestMs, intervalMs: 2 }), ...ends])
}
