import type { Publisher } from '@outbox/core'
import type { Setting, Work } from '../../contestant.ts'
import { dueEntry, lanesOf, pieces } from '../../due.ts'

const lanes = 4
const batchSize = 500

/** Publishes entries as a relay of default settings does: four lanes, batches of 500, each lane one batch at a time. */
export function throughPublisher(
  publisher: Publisher,
  setting: Setting,
  rest: Pick<Work, 'left' | typeof Symbol.asyncDispose>,
): Work {
  const parts = lanesOf(
    Array.from({ length: setting.rows }, (_, n) => dueEntry(n, setting)),
    lanes,
  )
  const { signal } = new AbortController()
  return {
    async run() {
      await Promise.all(
        parts.map(async (part) => {
          for (const batch of pieces(part, batchSize)) {
            const outcomes = await publisher.publish(batch, { signal })
            const other = outcomes.find(({ status }) => status !== 'published')
            if (other) throw new Error(`an entry was not published: ${JSON.stringify(other)}`)
          }
        }),
      )
      return undefined
    },
    ...rest,
  }
}
