import { OutboxError } from '../errors.ts'
import type { CallOptions } from '../outbox.ts'
import type { DeadLetter, DeadLetterFilter, DeadLetters } from '../store.ts'

/** Dead letters that are read and written at a time: short statements, little memory. */
const pageSize = 100

/**
 * For stores: completes dead letters that can be listed, requeued and discarded by id with the calls that work by
 * filter, page by page.
 *
 * A page is listed before the one in front of it is changed, so what changes meanwhile moves no page.
 */
export function bulkDeadLetters(byId: Pick<DeadLetters, 'list' | 'requeue' | 'discard'>): DeadLetters {
  const all = async (change: 'requeue' | 'discard', where: DeadLetterFilter, options: CallOptions): Promise<number> => {
    checkFilter(where)
    let changed = 0
    const page = (after?: DeadLetter): Promise<readonly DeadLetter[]> =>
      byId.list({ ...options, where, limit: pageSize, ...(after && { after: after.entry.id }) })
    for (let letters = await page(); letters.length > 0; ) {
      const next = letters.length < pageSize ? [] : await page(letters.at(-1))
      changed += await byId[change](
        letters.map(({ entry }) => entry.id),
        options,
      )
      letters = next
    }
    return changed
  }
  return {
    list: async (page) => {
      checkFilter(page.where)
      return byId.list(page)
    },
    requeue: (ids, options) => byId.requeue(ids, options),
    discard: (ids, options) => byId.discard(ids, options),
    requeueAll: (where, options = {}) => all('requeue', where, options),
    discardAll: (where, options = {}) => all('discard', where, options),
  }
}

/** A database would take an invalid date for later than everything, or for a mistake in the tables. */
function checkFilter(where: DeadLetterFilter | undefined): void {
  if (where?.diedBefore === undefined || !Number.isNaN(where.diedBefore.getTime())) return
  throw new OutboxError('invalid-option', 'The date diedBefore is invalid. Nothing was changed.', {
    option: 'diedBefore',
  })
}
