import { describeInbox, describeStore } from '@outbox/conformance'
import { setup, setupInbox } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { afterAll, beforeAll } from 'vitest'
import { openDriver6 } from './mongo-databases.ts'
import { type Clients, storeHarness } from './mongo-harness.ts'
import { inboxHarness } from './mongo-inbox-harness.ts'

describeWith('mongo', 'MongoDB, driver 6', () => {
  let clients: Clients
  beforeAll(async () => {
    const url = await sharedMongo()
    const own = openDriver6(url)
    await setup(own.db)
    await setupInbox(own.db)
    clients = { own, other: openDriver6(url, own.db.databaseName) }
  })
  afterAll(async () => {
    await clients.other[Symbol.asyncDispose]()
    await clients.own[Symbol.asyncDispose]()
  })

  describeStore(
    'outbox',
    storeHarness(() => clients),
  )
  describeInbox(
    'inbox',
    inboxHarness(() => clients),
  )
})
