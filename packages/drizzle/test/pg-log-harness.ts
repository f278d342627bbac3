import { describeStore } from '@outbox/conformance'
import { type PgOutbox, pgOutbox, setup } from '@outbox/drizzle/pg'
import { connections, type TestDatabase } from './pg-connections.ts'
import type { Opened } from './pg-databases.ts'

/** The suite of the outbox with the log engine. Each check has a schema of its own. */
export function describePgLog(
  driver: string,
  can: Parameters<typeof describeStore>[1]['capabilities'],
  connect: () => Promise<Opened<TestDatabase>>,
): void {
  describeStore(`outbox with a log: ${driver}`, {
    capabilities: { ...can, purgesSingly: { leftOut: 'a log is truncated leaf by leaf' } },
    async open() {
      const place = { schema: `check ${crypto.randomUUID()}`, engine: 'log' } as const
      const { opened, close } = connections(connect)
      const own = await opened()
      await setup(own.db, place)
      const outboxOn = (db: TestDatabase): PgOutbox => pgOutbox({ db, ...place })
      return {
        store: outboxOn(own.db),
        ...own.transactions,
        peer: async () => outboxOn((await opened()).db),
        close,
      }
    },
  })
}
