import 'reflect-metadata'
import { OutboxModule, TransactionalEventEmitter } from '@fullstackhouse/nestjs-outbox'
import {
  OutboxTransportEventMigrations,
  TypeORMDatabaseDriverFactory,
  TypeOrmOutboxTransportEvent,
} from '@fullstackhouse/nestjs-outbox-typeorm-driver'
import { NestFactory } from '@nestjs/core'
import pg from 'pg'
import { DataSource } from 'typeorm'
import type { Contestant } from '../../contestant.ts'
import { aggregateSql, payloadSql } from '../../rows.ts'

const eventName = 'OrderPlaced'

const openDataSource = (url: string): Promise<DataSource> =>
  new DataSource({
    type: 'postgres',
    url,
    entities: [TypeOrmOutboxTransportEvent],
    poolSize: 20,
  }).initialize()

export const contestant: Contestant = {
  title: 'nestjs-outbox 4, TypeORM',
  role: 'peer',
  guarantee: { order: 'none', isFenced: false, isDurable: true },
  tuning: 'maxEventsPerPoll 500, pollingInterval 10 ms, pool of 20, no logging middleware; a tenth of the rows',
  share: 0.1,
  async prepare(setting) {
    const source = await openDataSource(setting.url)
    // run one by one: the names of its own classes are not what TypeORM's runner takes
    const runner = source.createQueryRunner()
    for (const Migration of OutboxTransportEventMigrations) await new Migration().up(runner)
    await runner.release()
    await source.query(`
      insert into outbox_transport_event
        (event_name, event_payload, expire_at, attempt_at, inserted_at, delivered_to_listeners)
      select '${eventName}', json_build_object('name', '${eventName}', 'aggregateId', ${aggregateSql(setting)},
          'body', ${payloadSql(setting)}),
        extract(epoch from now() + interval '1 day')::bigint * 1000, extract(epoch from now())::bigint * 1000,
        extract(epoch from now())::bigint * 1000, '[]'
      from generate_series(0, ${setting.rows - 1}) n`)
    await source.destroy()
  },
  async open({ url, rows }) {
    const client = new pg.Client(url)
    await client.connect()
    const source = await openDataSource(url)
    const left = async (): Promise<number> =>
      Number((await client.query('select count(*) from outbox_transport_event')).rows[0]?.count)
    let handled = 0
    const all = Promise.withResolvers<void>()
    return {
      async run() {
        const application = await NestFactory.createApplicationContext(
          OutboxModule.registerAsync({
            useFactory: () => ({
              driverFactory: new TypeORMDatabaseDriverFactory(source),
              events: [
                {
                  name: eventName,
                  listeners: { retentionPeriod: 86_400_000, maxExecutionTime: 15_000, maxRetries: 5 },
                },
              ],
              pollingInterval: 10,
              maxEventsPerPoll: 500,
            }),
            enableDefaultMiddlewares: false,
          }),
          { logger: false },
        )
        application.get(TransactionalEventEmitter).addListener(eventName, {
          getName: () => 'null',
          handle: async () => {
            handled += 1
            if (handled === rows) all.resolve()
          },
        })
        await all.promise
        // closing waits for what is in flight
        await application.close()
        while ((await left()) > 0) await new Promise(setImmediate)
        return undefined
      },
      left,
      async [Symbol.asyncDispose]() {
        await source.destroy()
        await client.end()
      },
    }
  },
}
