import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect, it } from 'vitest'
import { firstAnswer } from '../src/first-answer.ts'
import { createDatabase, describeWith, freshDatabase, sharedNats, sharedPostgres, sharedRedis } from '../src/index.ts'

describeWith(['postgres', 'redis', 'nats'], 'shared servers', () => {
  it('answer at their URLs', async () => {
    const [postgres, redis, nats] = await Promise.all([sharedPostgres(), sharedRedis(), sharedNats()])
    const client = new Client({ connectionString: postgres })
    await client.connect()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
    const redisClient = new Redis(redis)
    expect(await redisClient.ping()).toBe('PONG')
    redisClient.disconnect()
    expect(await firstAnswer(Number(new URL(nats).port), '')).toContain('INFO')
  })

  it('are the same for everyone who asks', async () => {
    expect(await sharedRedis()).toBe(await sharedRedis())
  })

  it('give each test a database of its own, which is gone afterwards', async () => {
    const database = await freshDatabase()
    const other = await createDatabase(await sharedPostgres())
    expect(database.name).not.toBe(other.name)
    const client = new Client({ connectionString: database.url })
    client.on('error', () => {})
    await client.connect()
    expect((await client.query('select current_database() as name')).rows).toEqual([{ name: database.name }])
    // dropped although somebody is connected
    await database[Symbol.asyncDispose]()
    await other[Symbol.asyncDispose]()
    const late = new Client({ connectionString: database.url })
    await expect(late.connect()).rejects.toThrow('does not exist')
  })
})
