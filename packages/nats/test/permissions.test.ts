import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '@outbox/core'
import { describeWith, type OwnServer, waitFor } from '@outbox/services'
import { expect, it } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import { Replies } from '../src/replies.ts'
import {
  arrivals,
  batchingServer,
  clients,
  dueEntry,
  messageOf,
  never,
  type Observer,
  observe,
  publish,
  servers,
  shiftedClock,
  statuses,
  type TestConnection,
} from './support.ts'

const subject = 'events.{aggregateType}.{aggregateId}'

/** A server with one user who may do everything, and one whose permissions a test takes away and gives back. */
interface GuardedServer extends AsyncDisposable {
  readonly observer: Observer
  readonly connection: TestConnection
  /** Forbids the user these subjects, and no others. */
  forbid(publish: readonly string[], subscribe?: readonly string[]): Promise<void>
}

for (const { name, need, start } of [...servers, batchingServer]) {
  for (const client of clients) {
    describeWith(need, `permissions that are taken away, ${name}, ${client.name}`, () => {
      const isBatching = start === batchingServer.start
      const variants = isBatching
        ? ([{ batch: 'atomic' }] as const)
        : ([{ batch: 'none' }, { batch: 'none', fence: 'subject' }] as const)
      for (const variant of variants) {
        it(`to publish, ${JSON.stringify(variant)}: an outage that says what to do, until it is given back`, async () => {
          await using guarded = await guard(start, client.connect)
          const { observer, connection, forbid } = guarded
          const stream = await observer.addStream('events.>', isBatching ? { allow_atomic: true } : {})
          const clock = shiftedClock()
          await using publisher = natsPublisher({ connection, subject, stream, clock, ...variant })
          const earlier = [dueEntry({ aggregateId: '0' }), dueEntry({ aggregateId: '1' })]
          expect(await statuses(publisher, earlier)).toEqual(['published', 'published'])

          await forbid(['events.>'])
          // a subject that was taken before, one that was not, and one of another type
          const entries = [
            dueEntry({ aggregateId: '1', sequence: 2 }),
            dueEntry({ aggregateId: '2' }),
            dueEntry({ aggregateType: 'user' }),
          ]
          const outcomes = await publish(publisher, entries)
          expect(outcomes.map(({ status }) => status)).toEqual(['unavailable', 'unavailable', 'unavailable'])
          expect(messageOf(outcomes[0])).toContain("the NATS user may not publish to 'events.order.1'. Allow it")
          for (let probe = 0; probe < 2; probe++) {
            await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'setup-required' })
            clock.shift(60_000)
          }

          await forbid([])
          await publisher.probe?.({ signal: never })
          expect(await statuses(publisher, entries)).toEqual(['published', 'published', 'published'])
          expect((await arrivals(observer, stream)).toSorted()).toEqual(['0/1', '1/1', '1/1', '1/2', '2/1'])
        })
      }
    })
  }
}

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `permissions of a part, ${name}, ${client.name}`, () => {
      it('one type of several: its entries have the trouble to themselves, until all types are concerned', async () => {
        await using guarded = await guard(start, client.connect)
        const { observer, connection, forbid } = guarded
        await observer.addStream('events.>')
        await using publisher = natsPublisher({ connection, subject })
        const order = (sequence: number) => dueEntry({ sequence })
        const user = (sequence: number) => dueEntry({ aggregateType: 'user', sequence })
        expect(await statuses(publisher, [order(1), user(1)])).toEqual(['published', 'published'])
        await forbid(['events.order.>'])
        expect(await statuses(publisher, [order(2), user(2)])).toEqual(['unavailable', 'published'])
        await publisher.probe?.({ signal: never })
        await forbid(['events.order.>', 'events.user.>'])
        expect(await statuses(publisher, [order(2), user(3)])).toEqual(['unavailable', 'unavailable'])
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'setup-required' })
        await forbid(['events.order.>'])
        await publisher.probe?.({ signal: never })
      })

      it('a subject that was never allowed stops nobody else for ever', async () => {
        await using guarded = await guard(start, client.connect)
        const { observer, connection, forbid } = guarded
        await observer.addStream('events.>')
        await forbid(['events.order.secret'])
        const clock = shiftedClock()
        await using publisher = natsPublisher({ connection, subject, clock })
        const secret = dueEntry({ aggregateId: 'secret' })
        for (let trial = 0; trial < 2; trial++) {
          // nothing was published yet: all may be forbidden, until the next batch may show that they are not
          expect(await statuses(publisher, [secret])).toEqual(['unavailable'])
          await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'setup-required' })
          clock.shift(30_000)
          await publisher.probe?.({ signal: never })
        }
        expect(await statuses(publisher, [secret, dueEntry({ aggregateId: 'open' })])).toEqual([
          'unavailable',
          'published',
        ])
        await publisher.probe?.({ signal: never })
      })

      it('a stream that is gone says nothing of what is allowed', async () => {
        await using guarded = await guard(start, client.connect)
        const { observer, connection, forbid } = guarded
        await observer.addStream('events.order.>')
        const clock = shiftedClock()
        await using publisher = natsPublisher({ connection, subject, clock })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
        await observer.deleteStreams()
        await observer.addStream('events.user.>')
        await forbid(['events.user.secret'])
        const secret = dueEntry({ aggregateType: 'user', aggregateId: 'secret' })
        expect(await statuses(publisher, [secret])).toEqual(['unavailable'])
        clock.shift(30_000)
        await publisher.probe?.({ signal: never })
      })

      it('to read the stream, which the fence needs: an outage until it is given back', async () => {
        await using guarded = await guard(start, client.connect)
        const { observer, connection, forbid } = guarded
        const stream = await observer.addStream('events.>')
        await using publisher = natsPublisher({ connection, subject, fence: 'subject' })
        await forbid(['$JS.API.STREAM.MSG.GET.>'])
        const [outcome] = await publish(publisher, [dueEntry()])
        expect(outcome?.status).toBe('unavailable')
        expect(messageOf(outcome)).toContain(`may not publish to '$JS.API.STREAM.MSG.GET.${stream}'`)
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'setup-required' })
        await forbid([])
        await publisher.probe?.({ signal: never })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
      })

      it('to receive replies: the probe fails, too, until it is given back', async () => {
        await using guarded = await guard(start, client.connect)
        const { observer, connection, forbid } = guarded
        await observer.addStream('events.>')
        await using publisher = natsPublisher({ connection, subject, ackTimeoutMs: 1_000 })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
        await forbid([], ['_INBOX.>'])
        const later = dueEntry({ sequence: 2 })
        expect(await statuses(publisher, [later])).toEqual(['unknown'])
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
        await forbid([])
        await publisher.probe?.({ signal: never })
        expect(await statuses(publisher, [later])).toEqual(['duplicate'])
      })
    })
  }
}

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `the permissions that the README lists, ${name}, ${client.name}`, () => {
      for (const fence of ['none', 'subject'] as const) {
        it(`are enough, with fence: '${fence}', and let the user do nothing else`, async () => {
          const allowed = [
            ...['events.>', '$JS.API.INFO', '$JS.API.STREAM.NAMES', '$JS.API.STREAM.INFO.*'],
            ...(fence === 'subject' ? ['$JS.API.STREAM.MSG.GET.*'] : []),
          ]
          const permissions = `{ publish: ${JSON.stringify(allowed)}, subscribe: "_INBOX.>" }`
          const users = `{ user: all, password: x }, { user: least, password: x, permissions: ${permissions} }`
          await using server = await start({ config: `authorization { users: [${users}] }` })
          await using observer = await observe(server.url, { user: 'all', pass: 'x' })
          const stream = await observer.addStream('events.>')
          const connection = await client.connect(server.url, { user: 'least', pass: 'x' })
          await using publisher = natsPublisher({ connection, subject, fence })
          expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([])
          await publisher.probe?.({ signal: never })
          const entries = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })]
          expect(await statuses(publisher, entries)).toEqual(['published', 'published'])
          // a subject in trouble: the probe asks it, and reads what the fence reads
          const stopped = new AbortController()
          const lost = publisher.publish([dueEntry({ sequence: 3 })], { signal: stopped.signal })
          stopped.abort()
          expect((await lost).map(({ status }) => status)).toEqual(['unknown'])
          await publisher.probe?.({ signal: never })

          const replies = new Replies({
            connection,
            system: 'test',
            inboxPrefix: '_INBOX',
            timeoutMs: 2_000,
            clock: systemClock,
          })
          for (const other of [
            ...['$JS.API.STREAM.DELETE', '$JS.API.STREAM.PURGE', '$JS.API.STREAM.UPDATE'].map(
              (api) => `${api}.${stream}`,
            ),
            ...['$JS.API.STREAM.CREATE.MORE', `$JS.API.CONSUMER.CREATE.${stream}`, 'elsewhere', '$SYS.REQ.SERVER.PING'],
          ]) {
            const answer = await replies.ask({ subject: other, data: new Uint8Array() }, never, (data) => data)
            expect(answer.kind, other).toBe('forbidden')
          }
          replies.close()
          expect(await observer.count(stream)).toBeGreaterThanOrEqual(2)
          await connection.close()
        })
      }
    })
  }
}

/** @returns a server whose user `relay` may do everything at first */
async function guard(
  start: (options: { readonly config: string }) => Promise<OwnServer>,
  connectTo: (typeof clients)[number]['connect'],
): Promise<GuardedServer> {
  const server = await start({ config: configFor([], []) })
  const observer = await observe(server.url, { user: 'all', pass: 'x' })
  const connection = await connectTo(server.url, { user: 'relay', pass: 'x' })
  return {
    observer,
    connection,
    async forbid(publish, subscribe = []) {
      await writeFile(join(server.directory, 'nats.conf'), configFor(publish, subscribe))
      // after a reload of its users, 2.9 has no JetStream any more
      await (/^2\.9\./.test(server.version) ? restart(server, [connection, observer.connection]) : reload(server))
    },
    async [Symbol.asyncDispose]() {
      await connection.close()
      await observer[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** The system's clock, ahead by what a test says. */
async function reload(server: OwnServer): Promise<void> {
  const reloads = async (): Promise<number> => (await server.log()).split('Reloaded server configuration').length
  const before = await reloads()
  process.kill(Number(await readFile(join(server.directory, 'nats.pid'), 'utf8')), 'SIGHUP')
  await waitFor(async () => (await reloads()) > before, { what: 'the server to know the permissions' })
}

async function restart(server: OwnServer, connections: readonly Pick<TestConnection, 'rtt'>[]): Promise<void> {
  await server.restart()
  const areConnected = (): Promise<boolean> =>
    Promise.all(connections.map((connection) => connection.rtt())).then(
      () => true,
      () => false,
    )
  await waitFor(areConnected, { what: 'both clients to be back' })
}

function configFor(publish: readonly string[], subscribe: readonly string[]): string {
  const rules = (denied: readonly string[]) => `{ allow: ">", deny: ${JSON.stringify(denied)} }`
  const relay = `{ user: relay, password: x, permissions: { publish: ${rules(publish)}, subscribe: ${rules(subscribe)} } }`
  return `pid_file: nats.pid\nauthorization { users: [{ user: all, password: x }, ${relay}] }\n`
}
