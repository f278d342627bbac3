import type { MongoDatabase } from '@outbox/mongo'
import { describeWith, sharedMongo } from '@outbox/services'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { databaseOf } from '../src/database.ts'
import { setOnce, sourceOf } from '../src/meta.ts'
import { namesIn } from '../src/names.ts'
import { uuidsOf } from '../src/uuids.ts'
import { type Opened, openDriver7 } from './mongo-databases.ts'

describeWith('mongo', 'what is written down once', () => {
  let own: Opened
  beforeEach(async () => {
    own = openDriver7(await sharedMongo())
  })
  afterEach(() => own[Symbol.asyncDispose]())

  /** The same database, whose collections answer some calls otherwise. */
  const answering = (methods: object): MongoDatabase =>
    new Proxy(own.db, {
      get: (db, name) => {
        if (name !== 'collection') return Reflect.get(db, name)
        return (...args: Parameters<MongoDatabase['collection']>) =>
          new Proxy(db.collection(...args), {
            get: (collection, method) => {
              const value: unknown = Reflect.get(methods, method) ?? Reflect.get(collection, method)
              return typeof value === 'function' ? value.bind(collection) : value
            },
          })
      },
    })
  const names = namesIn()
  /** What a majority has does not show it yet. */
  const find = () => ({ toArray: async () => [] })

  it('is what the first one wrote, also for a second one who cannot read it yet', async () => {
    expect(await setOnce(databaseOf(own.db, names), 'source', 'first')).toBe('first')
    expect(await setOnce(databaseOf(answering({ find }), names), 'source', 'second')).toBe('first')
  })

  it('is what the first one wrote, also for a second one who is told of a duplicate key', async () => {
    expect(await setOnce(databaseOf(own.db, names), 'source', 'first')).toBe('first')
    const duplicate = Object.assign(new Error('E11000'), { name: 'MongoServerError', code: 11000 })
    const meta = own.db.collection(names.meta)
    let calls = 0
    const findOneAndUpdate = (...args: Parameters<typeof meta.findOneAndUpdate>): Promise<unknown> =>
      ++calls === 1 ? Promise.reject(duplicate) : meta.findOneAndUpdate(...args)
    const late = databaseOf(answering({ find, findOneAndUpdate }), names)
    await expect(setOnce(late, 'source', 'second')).resolves.toBe('first')
    expect(calls).toBe(2)
  })

  it('is a name for the outbox, also where a fetch finds none', async () => {
    const database = databaseOf(own.db, names)
    const context = {
      names,
      database,
      toUuid: uuidsOf(own.client),
      applied: new Map(),
      full: new Map(),
      newLeaseWriteId: () => crypto.randomUUID(),
      source: { name: undefined },
    }
    const source = await sourceOf(context)
    expect(source).toMatch(/^[0-9a-f-]{36}$/)
    expect(await setOnce(database, 'source', 'another')).toBe(source)
  })
})
