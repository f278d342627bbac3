import { MongoClient } from 'mongodb'
import { expect, it } from 'vitest'
import { describeWith, startMongo } from '../src/index.ts'

describeWith({ own: 'mongo' }, 'a MongoDB of the test', () => {
  it('is a replica set with transactions, and keeps what was committed when it is killed', async () => {
    await using server = await startMongo()
    const open = () => new MongoClient(server.url)
    const before = open()
    const hello = await before.db('admin').command({ hello: 1 })
    expect(hello).toMatchObject({ setName: 'rs0', isWritablePrimary: true })
    await before.withSession((session) =>
      session.withTransaction(() => before.db('shop').collection('orders').insertOne({ total: 1 }, { session })),
    )
    await before.close()
    await server.kill()
    await server.restart()
    await using after = open()
    expect(await after.db('shop').collection('orders').countDocuments()).toBe(1)
  })

  it('takes options of the launcher', async () => {
    await using server = await startMongo({ options: ['--no-change-streams'] })
    await using client = new MongoClient(server.url)
    await expect(client.db('shop').collection('orders').watch().tryNext()).rejects.toMatchObject({ code: 40573 })
  })
})
