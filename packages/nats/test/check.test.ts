import { randomUUID } from 'node:crypto'
import { OutboxError } from '@outbox/core'
import { describeWith, type OwnServer, startTcpProxy } from '@outbox/services'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type NatsPublisherOptions, natsPublisher } from '../src/index.ts'
import {
  batchingServer,
  clients,
  errorOf,
  never,
  type Observer,
  observe,
  servers,
  type TestConnection,
} from './support.ts'

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `check() on ${name}, ${client.name}`, () => {
      let server: OwnServer
      let observer: Observer
      let connection: TestConnection
      beforeAll(async () => {
        server = await start()
        observer = await observe(server.url)
        connection = await client.connect(server.url)
      })
      afterAll(async () => {
        await connection.close()
        await observer[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      })

      const check = (options: Omit<NatsPublisherOptions, 'connection'>, retryHorizonMs = 60_000) =>
        natsPublisher({ connection, ...options }).check?.({ retryHorizonMs, signal: never }) ?? Promise.resolve([])
      const base = (): string => `t${randomUUID()}`
      const missing = async (options: Omit<NatsPublisherOptions, 'connection'>): Promise<string> => {
        const error = await errorOf(check(options))
        if (!OutboxError.is(error, 'setup-required')) throw error
        expect(error.details.missing.length).toBeGreaterThan(0)
        return error.message
      }

      it('a stream that is set up well raises no warning, and tells its window', async () => {
        const prefix = base()
        await observer.addStream(`${prefix}.>`)
        const publisher = natsPublisher({ connection, subject: `${prefix}.{aggregateType}.{aggregateId}.{eventType}` })
        expect(publisher.capabilities.dedupeWindowMs).toBeUndefined()
        expect(await publisher.check?.({ retryHorizonMs: 120_000 })).toEqual([])
        expect(publisher.capabilities.dedupeWindowMs).toBe(120_000)
      })

      it('without a stream for the subject: the command that makes one', async () => {
        const prefix = base()
        expect(await missing({ subject: `${prefix}.{aggregateId}.{eventType}` })).toContain(
          `no stream takes '${prefix}.*.>': nats stream add EVENTS --subjects='${prefix}.*.>'`,
        )
      })

      it('without the stream that is named: the command that makes it', async () => {
        expect(await missing({ subject: 'events.{aggregateId}', stream: 'NONE' })).toContain(
          "there is no stream 'NONE': nats stream add NONE --subjects='events.*'",
        )
      })

      it('a named stream that takes other subjects: the command that adds ours', async () => {
        const prefix = base()
        const stream = await observer.addStream(`${prefix}.x.>`)
        expect(await missing({ subject: `${prefix}.y.{aggregateId}`, stream })).toContain(
          `nats stream edit ${stream} --subjects='${prefix}.x.>,${prefix}.y.*'`,
        )
      })

      it('a stream that takes only some of the subjects: a warning that names both', async () => {
        const prefix = base()
        await observer.addStream(`${prefix}.order.>`)
        expect(await check({ subject: `${prefix}.{aggregateType}.{aggregateId}` })).toEqual([
          expect.stringContaining(`No stream takes all of '${prefix}.*.*', only '${prefix}.order.>'`),
        ])
      })

      it('a window below the retry horizon: the exact value to set', async () => {
        const prefix = base()
        const stream = await observer.addStream(`${prefix}.>`)
        expect(await check({ subject: `${prefix}.{aggregateId}` }, 510_400)).toEqual([
          expect.stringContaining(`nats stream edit ${stream} --dupe-window=511s`),
        ])
      })

      it('what loses acknowledged messages sooner or later: a warning each', async () => {
        const prefix = base()
        const stream = await observer.addStream(`${prefix}.>`, {
          storage: 'memory',
          discard: 'old',
          max_bytes: 1_000_000,
          max_msgs_per_subject: 5,
          max_msg_size: 1_000,
        })
        expect(await check({ subject: `${prefix}.{aggregateId}`, stream })).toEqual([
          expect.stringContaining('--storage=file'),
          expect.stringContaining('--discard=new'),
          expect.stringContaining('--max-msgs-per-subject=-1'),
          expect.stringContaining('above 1000 bytes (max_msg_size)'),
        ])
      })

      it('a stream that drops what nobody is interested in: a warning', async () => {
        const prefix = base()
        await observer.addStream(`${prefix}.>`, { retention: 'interest' })
        expect(await check({ subject: `${prefix}.{aggregateId}` })).toEqual([
          expect.stringContaining('retention: interest'),
        ])
      })

      it.each(['workqueue', 'interest'] as const)(
        "a stream that deletes what was consumed (%s) is refused with fence: 'subject', which finds nothing there",
        async (retention) => {
          const prefix = base()
          await observer.addStream(`${prefix}.>`, { retention })
          const subject = `${prefix}.{aggregateId}`
          expect(await missing({ subject, fence: 'subject' })).toContain(
            `(retention: ${retention}), and fence: 'subject' finds nothing there`,
          )
          await check({ subject })
        },
      )

      it('a stream that never acknowledges is refused', async () => {
        const prefix = base()
        const stream = await observer.addStream(`${prefix}.>`, { no_ack: true })
        expect(await missing({ subject: `${prefix}.{aggregateId}` })).toContain(`nats stream edit ${stream} --ack`)
      })

      const seal = (stream: string, subjects: string) =>
        observer.connection.request(
          `$JS.API.STREAM.UPDATE.${stream}`,
          JSON.stringify({ name: stream, subjects: [subjects], sealed: true }),
        )

      it('a sealed stream beside others is a warning; named, or alone, it is refused', async () => {
        const prefix = base()
        const old = await observer.addStream(`${prefix}.old.>`)
        await seal(old, `${prefix}.old.>`)
        const subject = `${prefix}.{aggregateType}.{aggregateId}`
        const fault = `stream '${old}' is sealed and takes no messages: publish to another one`
        expect(await missing({ subject })).toContain(fault)
        await observer.addStream(`${prefix}.order.>`)
        expect(await check({ subject })).toEqual([
          expect.stringContaining(`${fault}. Entries with its subjects become dead letters`),
          expect.stringContaining(`only '${prefix}.order.>'`),
        ])
        expect(await missing({ subject, stream: old })).toContain(fault)
      })

      it('a stream without subjects of its own is refused, whatever it is asked for', async () => {
        const prefix = base()
        const origin = await observer.addStream(`${prefix}.>`)
        const mirror = await observer.addStream([], { mirror: { name: origin } })
        const gathering = await observer.addStream([], { sources: [{ name: origin }] })
        for (const stream of [mirror, gathering]) {
          for (const subject of [`${prefix}.{aggregateId}`, () => `${prefix}.1`]) {
            expect(await missing({ subject, stream })).toContain(
              `stream '${stream}' has no subjects, and takes messages of other streams alone (a mirror, or sources)`,
            )
          }
        }
      })

      it('a subject function without a stream is not checked, and that is said', async () => {
        expect(await check({ subject: () => 'anything' })).toEqual([expect.stringContaining("Give option 'stream'")])
      })

      it('a subject function with a stream: the stream is checked', async () => {
        const stream = await observer.addStream(`${base()}.>`, { storage: 'memory' })
        expect(await check({ subject: () => 'anything', stream })).toEqual([expect.stringContaining('--storage=file')])
      })
    })

    describeWith(need, `check() and probe() on another ${name}, ${client.name}`, () => {
      it('JetStream that is off: how to switch it on', async () => {
        await using server = await start({
          config: 'accounts { plain: { users: [{ user: plain, password: x }] } }',
        })
        const connection = await client.connect(server.url, { user: 'plain', pass: 'x' })
        const publisher = natsPublisher({ connection, subject: 'events.{aggregateId}' })
        const error = await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
        expect(error).toMatchObject({ code: 'setup-required', message: expect.stringContaining("'nats-server -js'") })
        await expect(publisher.probe?.({})).rejects.toMatchObject({ code: 'unavailable' })
        await connection.close()
      })

      it("JetStream's domain behind another prefix that nobody answers on: an outage, as it may only be out of reach", async () => {
        await using server = await start({ config: 'jetstream { domain: leaf }' })
        const connection = await client.connect(server.url)
        const publisher = natsPublisher({ connection, subject: 'events.{aggregateId}', apiPrefix: '$JS.hub.API' })
        const error = await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
        expect(error).toMatchObject({
          code: 'unavailable',
          message: expect.stringContaining("nobody answers on '$JS.hub.API.INFO'"),
        })
        await connection.close()
      })

      it('an API that the user may not ask: the subject to allow', async () => {
        await using server = await start({
          config:
            'authorization { users: [{ user: some, password: x, permissions: { publish: ["events.>"], subscribe: [">"] } }] }',
        })
        const connection = await client.connect(server.url, { user: 'some', pass: 'x' })
        const publisher = natsPublisher({ connection, subject: 'events.{aggregateId}', ackTimeoutMs: 60_000 })
        const error = await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
        expect(error).toMatchObject({
          code: 'setup-required',
          details: { missing: ['permission to publish to $JS.API.INFO'] },
        })
        await connection.close()
      })

      it.each([
        ['STREAM.NAMES', 'none', 'STREAM.NAMES'],
        ['STREAM.NAMES', 'subject', 'STREAM.NAMES'],
        ['STREAM.MSG.GET.*', 'subject', 'STREAM.MSG.GET.EVENTS'],
      ] as const)(
        'without the right to ask %s, fence: %j, which only trouble would need: told by name',
        async (denied, fence, missing) => {
          await using server = await start({
            config: `authorization { users: [{ user: all, password: x }, { user: some, password: x, permissions: { publish: { deny: ["$JS.API.${denied}"] }, subscribe: "_INBOX.>" } }] }`,
          })
          await using observer = await observe(server.url, { user: 'all', pass: 'x' })
          await observer.addStream('events.>', { name: 'EVENTS' })
          const connection = await client.connect(server.url, { user: 'some', pass: 'x' })
          for (const subject of ['events.{aggregateId}', () => 'events.1']) {
            const publisher = natsPublisher({ connection, subject, stream: 'EVENTS', fence, ackTimeoutMs: 60_000 })
            expect(await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())).toMatchObject({
              code: 'setup-required',
              details: { missing: [`permission to publish to $JS.API.${missing}`] },
            })
          }
          await connection.close()
        },
      )

      it('a small max_payload: a warning', async () => {
        await using server = await start({ config: 'max_payload: 65536' })
        await using observer = await observe(server.url)
        await observer.addStream('events.>')
        const connection = await client.connect(server.url)
        const publisher = natsPublisher({ connection, subject: 'events.{aggregateId}' })
        expect(await publisher.check?.({ retryHorizonMs: 1 })).toEqual([
          expect.stringContaining('max_payload is 65536'),
        ])
        await connection.close()
      })

      it('a broker that does not answer: unavailable, and an abort ends the wait with its reason', async () => {
        await using server = await start()
        await using proxy = await startTcpProxy(server.url)
        const connection = await client.connect(proxy.through(server.url))
        proxy.hold()
        const hasty = natsPublisher({ connection, subject: 'events.{aggregateId}', ackTimeoutMs: 50 })
        const error = await errorOf(hasty.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())
        expect(error).toMatchObject({ code: 'unavailable' })
        const patient = natsPublisher({ connection, subject: 'events.{aggregateId}', ackTimeoutMs: 60_000 })
        const controller = new AbortController()
        const reason = new Error('enough')
        const probed = errorOf(patient.probe?.({ signal: controller.signal }) ?? Promise.resolve())
        controller.abort(reason)
        expect(await probed).toBe(reason)
        await connection.close()
      })
    })
  }
}

for (const client of clients) {
  describeWith(batchingServer.need, `check() of streams that store something else, ${client.name}`, () => {
    it('one that adds numbers up is refused', async () => {
      await using server = await batchingServer.start()
      await using observer = await observe(server.url)
      await observer.addStream('events.>', { allow_msg_counter: true })
      const connection = await client.connect(server.url)
      const publisher = natsPublisher({ connection, subject: 'events.{aggregateId}' })
      expect(await errorOf(publisher.check?.({ retryHorizonMs: 1 }) ?? Promise.resolve())).toMatchObject({
        code: 'setup-required',
        message: expect.stringContaining('adds numbers up (allow_msg_counter) and takes no events'),
      })
      await connection.close()
    })

    it("one that changes the subjects is refused with fence: 'subject', if they are ours", async () => {
      await using server = await batchingServer.start()
      await using observer = await observe(server.url)
      const subject_transform = { src: 'events.order.*', dest: 'moved.{{wildcard(1)}}' }
      await observer.addStream('events.>', { subject_transform })
      const connection = await client.connect(server.url)
      const check = (type: string, fence: 'none' | 'subject') =>
        natsPublisher({ connection, subject: `events.${type}.{aggregateId}`, fence }).check?.({ retryHorizonMs: 1 })
      expect(await check('order', 'none')).toEqual([])
      expect(await check('user', 'subject')).toEqual([])
      for (const type of ['order', '{aggregateType}']) {
        expect(await errorOf(check(type, 'subject') ?? Promise.resolve())).toMatchObject({
          code: 'setup-required',
          message: expect.stringContaining('stores messages under other subjects (subject_transform)'),
        })
      }
      await connection.close()
    })
  })
}
