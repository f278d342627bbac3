import { expect } from 'vitest'
import { order, orders } from '../../outbox/events.ts'
import { numbering as outboxNumbering } from '../../outbox/topics/numbering.ts'
import type { StoreTopic } from '../store-check.ts'
import { startRelay } from '../test-relay.ts'

/** Numbers outlive the entries. */
export const numbering: StoreTopic = {
  ...outboxNumbering,
  checks: [
    ...outboxNumbering.checks,
    {
      id: 'numbering.after-purge',
      promise: 'numbers go on when everything before is published and purged',
      async run({ store, commit }) {
        await commit(orders('a', 3))
        await (await startRelay(store)).drain()
        await store.purge({ olderThanMs: 0, limit: 100 })
        expect(await commit(order('a'))).toMatchObject([{ sequence: 4 }])
      },
    },
  ],
}
