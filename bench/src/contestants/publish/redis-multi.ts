import type { Contestant } from '../../contestant.ts'
import { dueEntry, fieldsOf, pieces } from '../../due.ts'
import { openRedis } from './redis-stream.ts'

const batchSize = 500
const atOnce = 4

/** The same fields and the same key per id. A MULTI cannot look before it writes, so it drops no repeat. */
export const contestant: Contestant = {
  title: 'plain MULTI',
  role: 'ceiling',
  guarantee: { order: 'of the whole table', isFenced: false, isDurable: true, but: 'writes the ids, drops no repeat' },
  tuning: `XADD and SET … PX for each message, ${atOnce} MULTI of ${batchSize} messages at once on one connection`,
  async open(setting) {
    const { client, stream, left } = await openRedis(setting)
    const entries = Array.from({ length: setting.rows }, (_, n) => dueEntry(n, setting))
    const batches = pieces(entries, batchSize)
    const send = async (): Promise<void> => {
      for (const batch of batches) {
        const multi = client.multi()
        for (const entry of batch) {
          multi.xadd(stream, '*', ...fieldsOf(entry).flat(), 'payload', entry.payload)
          multi.set(`seen:${entry.deduplicationId}`, '1', 'PX', 3_600_000)
        }
        const replies = await multi.exec()
        const failed = replies?.find(([error]) => error !== null)
        if (!replies || failed) throw new Error('the batch failed', { cause: failed?.[0] })
      }
    }
    return {
      async run() {
        await Promise.all(Array.from({ length: atOnce }, send))
        return undefined
      },
      left,
      [Symbol.asyncDispose]: async () => client.disconnect(),
    }
  },
}
