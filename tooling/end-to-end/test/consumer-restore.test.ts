import { randomUUID } from 'node:crypto'
import { AckPolicy, type ConsumerConfig, DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { pgInbox, setupInbox } from '@outbox/drizzle/pg'
import { describeWith, freshDatabase, sharedNats, sharedRedis } from '@outbox/services'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { Redis } from 'ioredis'
import pg from 'pg'
import { expect, test } from 'vitest'

/** What docs/operations.md says of a consumer whose database was restored. */

const group = 'billing'
const ids = Array.from({ length: 6 }, () => randomUUID())

describeWith(['postgres', 'redis'], 'a consumer of Redis whose database was restored', () => {
  test('has each effect once and in order, when its group begins anew from before the backup', async () => {
    await using consumer = await openConsumer()
    await using stream = await openRedisStream()
    await stream.acknowledge(await stream.read('>', 4), consumer.handle)
    await consumer.backUp()
    await stream.acknowledge(await stream.read('>', 1), consumer.handle)
    await stream.read('>', 1) // is not acknowledged
    await consumer.restore()

    expect(await stream.read('>', 9), 'nothing comes by itself').toEqual([])
    const { redis, name } = stream
    const beforeBackup = `${stream.timeOf(2) - 1}-0`
    await redis.multi().xgroup('DESTROY', name, group).xgroup('CREATE', name, group, beforeBackup).exec()
    for (const from of ['0', '>'] as const) {
      await stream.acknowledge(await stream.read(from, 9), consumer.handle)
    }
    expect(await consumer.effects()).toEqual(ids)
    expect(consumer.dropped).toEqual(ids.slice(2, 4))
  })
})

describeWith(['postgres', 'nats'], 'a consumer of JetStream whose database was restored', () => {
  test('has each effect once and in order, with a new durable that begins before the backup', async () => {
    await using consumer = await openConsumer()
    await using stream = await openJetStream()
    const durable = { durable_name: 'billing', ack_policy: AckPolicy.Explicit, max_ack_pending: 1 }
    await stream.read(durable, 4, consumer.handle)
    await consumer.backUp()
    await stream.read(durable, 2, consumer.handle)
    await consumer.restore()

    const opt_start_time = await stream.timeOf(2)
    const later = { ...durable, durable_name: 'billing-2', deliver_policy: DeliverPolicy.StartTime, opt_start_time }
    await stream.read(later, 2, consumer.handle)
    await stream.read(later, 2, consumer.handle) // started again with the same settings, it goes on
    expect(await consumer.effects()).toEqual(ids)
    expect(consumer.dropped).toEqual(ids.slice(2, 4))
    const changed = { ...durable, deliver_policy: DeliverPolicy.StartTime, opt_start_time }
    await expect(stream.read(changed, 1, consumer.handle), 'the old name does not take it').rejects.toThrow(
      /deliver|start|exists/,
    )
  })
})

type Handle = (id: string) => Promise<void>
type Item = readonly [id: string, fields: readonly string[]]

/** Its effects, with its inbox in the same database. */
async function openConsumer() {
  await using opening = new AsyncDisposableStack()
  const database = opening.use(await freshDatabase())
  const pool = new pg.Pool({ connectionString: database.url })
  pool.on('error', () => {})
  opening.defer(() => pool.end())
  const db = drizzle({ client: pool })
  await setupInbox(db)
  await db.execute(sql`create table effects (at serial, id text not null)`)
  const inbox = pgInbox({ db })
  const dropped: string[] = []
  const open = opening.move()
  return {
    /** what the inbox knew, in the order in which it came */
    dropped,
    handle: async (id: string): Promise<void> => {
      const isFirst = await db.transaction((tx) =>
        inbox.once(
          tx,
          'billing',
          id,
          async () => void (await tx.execute(sql`insert into effects (id) values (${id})`)),
        ),
      )
      if (!isFirst) dropped.push(id)
    },
    async effects(): Promise<readonly unknown[]> {
      const { rows } = await db.execute(sql`select id from effects order by at`)
      return rows.map(({ id }) => id)
    },
    async backUp(): Promise<void> {
      await db.execute(sql`create table effects_then as select * from effects`)
      await db.execute(sql`create table inbox_then as select * from outbox_inbox`)
    },
    async restore(): Promise<void> {
      await db.execute(sql`truncate effects, outbox_inbox`)
      await db.execute(sql`insert into effects select * from effects_then`)
      await db.execute(sql`insert into outbox_inbox select * from inbox_then`)
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

async function openRedisStream() {
  const redis = new Redis(await sharedRedis())
  const name = `restore:${randomUUID()}`
  const timeOf = (index: number): number => 1_000 * (index + 1)
  for (const [index, id] of ids.entries()) await redis.xadd(name, `${timeOf(index)}-0`, 'id', id)
  await redis.xgroup('CREATE', name, group, '0')
  return {
    redis,
    name,
    timeOf,
    async read(from: '0' | '>', atMost: number): Promise<readonly Item[]> {
      const reply = await redis.xreadgroup('GROUP', group, 'one', 'COUNT', atMost, 'STREAMS', name, from)
      return (reply?.[0]?.[1] ?? []).flatMap(([id, fields]) => (fields ? [[id, fields] as const] : []))
    },
    async acknowledge(items: readonly Item[], handle: Handle): Promise<void> {
      for (const [item, [, id = '']] of items) {
        await handle(id)
        await redis.xack(name, group, item)
      }
    },
    async [Symbol.asyncDispose]() {
      await redis.del(name)
      redis.disconnect()
    },
  }
}

async function openJetStream() {
  const connection = await connect({ servers: await sharedNats() })
  const manager = await jetstreamManager(connection)
  const js = jetstream(connection)
  const name = `restore-${randomUUID()}`
  await manager.streams.add({ name, subjects: [name] })
  for (const id of ids) await js.publish(name, id)
  return {
    /** Makes the durable where there is none, and handles so many messages. */
    async read(
      durable: Partial<ConsumerConfig> & { durable_name: string },
      count: number,
      handle: Handle,
    ): Promise<void> {
      await manager.consumers.add(name, durable)
      const consumer = await js.consumers.get(name, durable.durable_name)
      for (let left = count; left > 0; left -= 1) {
        const message = await consumer.next()
        if (!message) throw new Error('nothing comes')
        await handle(message.string())
        await message.ackAck()
      }
    },
    async timeOf(index: number): Promise<string> {
      const message = await manager.streams.getMessage(name, { seq: index + 1 })
      if (!message) throw new Error('no such message')
      return message.timestamp
    },
    async [Symbol.asyncDispose]() {
      await manager.streams.delete(name)
      await connection.close()
    },
  }
}
