import { getTableConfig } from 'drizzle-orm-rc/sqlite-core'
import { expect, test, vi } from 'vitest'
import { newOutboxFile } from './sqlite-files.ts'

vi.mock('drizzle-orm', () => import('drizzle-orm-rc'))
vi.mock('drizzle-orm/sqlite-core', () => import('drizzle-orm-rc/sqlite-core'))

test('the tables are built by drizzle 1.0 as well, and check reads them', async () => {
  const { sqliteOutbox } = await import('../src/sqlite/index.ts')
  const { outboxPending } = await import('../src/sqlite/schema.ts')
  const file = newOutboxFile()
  const table: unknown = outboxPending
  expect(getTableConfig(asRcTable(table)).name).toBe('outbox_pending')
  await sqliteOutbox({ db: file.db }).check()
  file.db.run('DROP INDEX outbox_pending_scan')
  await expect(sqliteOutbox({ db: file.db }).check()).rejects.toMatchObject({
    details: { missing: ['index outbox_pending_scan'] },
  })
  file.remove()
})

function asRcTable(table: unknown): Parameters<typeof getTableConfig>[0] {
  return table as Parameters<typeof getTableConfig>[0]
}
