import { randomUUID } from 'node:crypto'
import { pgOutbox, setup } from '@outbox/drizzle/pg'
import { describeWith, freshDatabase } from '@outbox/services'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Pool } from 'pg'
import { expect, it } from 'vitest'
import { LabelTaken, PostOffice, UnknownParcel } from '../src/post-office.ts'
import { createTables } from '../src/tables.ts'

describeWith('postgres', 'the post office', () => {
  it('tells of what has happened, and of nothing else', async () => {
    await using database = await freshDatabase()
    const pool = new Pool({ connectionString: database.url })
    pool.on('error', () => {})
    await using _end = { [Symbol.asyncDispose]: () => pool.end() }
    const db = drizzle({ client: pool })
    await setup(db)
    await createTables(db)
    const outbox = pgOutbox({ db })
    const office = new PostOffice(db, outbox)
    const events = async (): Promise<number> => (await outbox.stats()).pending

    const posting = { label: 'no. 8', grams: 120, requestId: randomUUID() }
    const both = await Promise.all([office.post(posting), office.post(posting)])
    expect(both.filter((isFirst) => isFirst)).toHaveLength(1)
    expect(await events()).toBe(1)

    await expect(office.post({ ...posting, grams: 900, requestId: randomUUID() })).rejects.toThrow(LabelTaken)
    await expect(office.deliver('no. 9', 'nobody')).rejects.toThrow(UnknownParcel)
    expect(await events()).toBe(1)

    await office.deliver('no. 8', 'a neighbour')
    expect(await events()).toBe(2)
  })
})
