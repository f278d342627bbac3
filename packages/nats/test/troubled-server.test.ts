import { randomUUID } from 'node:crypto'
import { describeWith, startTcpProxy, waitFor } from '@outbox/services'
import { expect, it } from 'vitest'
import { type NatsConnectionLike, natsPublisher } from '../src/index.ts'
import {
  arrivals,
  clients,
  dueEntry,
  messageOf,
  never,
  observe,
  publish,
  servers,
  shiftedClock,
  statuses,
} from './support.ts'

const subject = 'events.{aggregateType}.{aggregateId}'

for (const { name, need, start } of servers) {
  for (const client of clients) {
    describeWith(need, `${name} in trouble, ${client.name}`, () => {
      it('a server killed between send and acknowledgement: unknown, and the repeat is a duplicate', async () => {
        await using server = await start()
        await using proxy = await startTcpProxy(server.url)
        let observer = await observe(server.url)
        const stream = await observer.addStream('events.>')
        const connection = await client.connect(proxy.through(server.url))
        await using publisher = natsPublisher({ connection, subject, ackTimeoutMs: 60_000 })
        expect(await statuses(publisher, [dueEntry({ aggregateId: 'before' })])).toEqual(['published'])

        const [first, second] = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })]
        proxy.holdAnswers()
        const outcomes = statuses(publisher, [first, second])
        await waitFor(async () => (await observer.count(stream)) === 2, { what: 'the message to be stored' })
        await observer[Symbol.asyncDispose]()
        await server.kill()
        proxy.reset()
        expect(await outcomes).toEqual(['unknown', 'notSent'])

        proxy.heal()
        await server.restart()
        await waitFor(
          () =>
            publisher.probe?.({ signal: never }).then(
              () => true,
              () => false,
            ),
          { what: 'the broker to be back' },
        )
        expect(await statuses(publisher, [first, second])).toEqual(['duplicate', 'published'])
        observer = await observe(server.url)
        expect(await arrivals(observer, stream)).toEqual(['before/1', '1/1', '1/2'])
        await observer[Symbol.asyncDispose]()
        await connection.close()
      })

      it('a server that is down: unavailable at once, nothing is sent when it is back', async () => {
        await using server = await start()
        const observer = await observe(server.url)
        const stream = await observer.addStream('events.>')
        await observer[Symbol.asyncDispose]()
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject, ackTimeoutMs: 60_000 })
        expect(await statuses(publisher, [dueEntry({ sequence: 1 })])).toEqual(['published'])
        await server.kill()
        await waitFor(() => connection.info === undefined, { what: 'the client to notice' })
        const later = dueEntry({ sequence: 2 })
        expect(await statuses(publisher, [later, dueEntry({ aggregateId: '2' })])).toEqual([
          'unavailable',
          'unavailable',
        ])
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
        await server.restart()
        await waitFor(
          () =>
            publisher.probe?.({ signal: never }).then(
              () => true,
              () => false,
            ),
          { what: 'the broker to be back' },
        )
        expect(await statuses(publisher, [later])).toEqual(['published'])
        const after = await observe(server.url)
        expect(await arrivals(after, stream)).toEqual(['1/1', '1/2'])
        await after[Symbol.asyncDispose]()
        await connection.close()
      })

      it('a server that stands still: the acknowledgement times out, unknown; the late one is ignored', async () => {
        await using server = await start()
        await using proxy = await startTcpProxy(server.url)
        await using observer = await observe(server.url)
        const stream = await observer.addStream('events.>')
        const connection = await client.connect(proxy.through(server.url))
        await using publisher = natsPublisher({ connection, subject, ackTimeoutMs: 50 })
        proxy.holdAnswers()
        const [outcome] = await publish(publisher, [dueEntry()])
        expect(outcome?.status).toBe('unknown')
        expect(messageOf(outcome)).toBe('nats: no answer within 50 ms.')
        await waitFor(async () => (await observer.count(stream)) === 1, { what: 'the message to be stored' })
        proxy.heal()
        await connection.flush() // the late acknowledgement came in before this
        await using patient = natsPublisher({ connection, subject })
        expect(await statuses(patient, [dueEntry({ sequence: 2 })])).toEqual(['published'])
        await connection.close()
      })

      it('a stream that is full: an outage, with what to do, until there is room', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        const stream = await observer.addStream('events.>', { max_bytes: 2_000, discard: 'new' })
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        const payload = JSON.stringify('x'.repeat(1_200))
        const [first, second] = [dueEntry({ sequence: 1, payload }), dueEntry({ sequence: 2, payload })]
        const outcomes = await publish(publisher, [first, second, dueEntry({ sequence: 3 })])
        expect(outcomes.map(({ status }) => status)).toEqual(['published', 'unavailable', 'notSent'])
        expect(messageOf(outcomes[1])).toMatch(/maximum bytes exceeded \(10077\); the stream takes no more/)
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({
          code: 'unavailable',
          message: `nats: stream '${stream}' is full.`,
        })
        await observer.connection.request(`$JS.API.STREAM.PURGE.${stream}`)
        await publisher.probe?.({ signal: never })
        expect(await statuses(publisher, [second])).toEqual(['published'])
        await connection.close()
      })

      it('a full stream that takes to discarding what is old has room', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        const config = { max_msgs: 1, discard: 'new' } as const
        const stream = await observer.addStream('events.>', config)
        const connection = await client.connect(server.url)
        const clock = shiftedClock()
        await using publisher = natsPublisher({ connection, subject, clock })
        const [first, second] = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })]
        expect(await statuses(publisher, [first, second])).toEqual(['published', 'unavailable'])
        await observer.update(stream, { ...config, discard: 'old' })
        clock.shift(6_000) // for five seconds the refusal itself is believed
        await publisher.probe?.({ signal: never })
        expect(await statuses(publisher, [second])).toEqual(['published'])
        await connection.close()
      })

      it('a message that is larger than its stream: a refusal, and nobody else is concerned', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        await observer.addStream('events.>', { max_bytes: 2_000, discard: 'new' })
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        const payload = JSON.stringify('x'.repeat(3_000))
        expect(await statuses(publisher, [dueEntry({ sequence: 1, payload })])).toEqual(['unavailable'])
        await publisher.probe?.({ signal: never })
        expect(await statuses(publisher, [dueEntry({ sequence: 2 })])).toEqual(['published'])
        await connection.close()
      })

      it('a stream that holds as many messages as it may: an outage until there is room', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        const stream = await observer.addStream('events.>', { max_msgs: 1, discard: 'new' })
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject, fence: 'subject' })
        const entries = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 })]
        expect(await statuses(publisher, entries)).toEqual(['published', 'unavailable'])
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
        await observer.connection.request(`$JS.API.STREAM.PURGE.${stream}`)
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it.each([
        ['a server', 'jetstream { max_file_store: 64KB }', /insufficient .*resources.* \(100(23|47)\)/],
        [
          'an account',
          'accounts { A { jetstream { max_mem: 1MB, max_file: 64KB }, users: [{ user: a, password: x }] } }, no_auth_user: a',
          /resource limits exceeded for account \(10002\); the account has reached its limit/,
        ],
      ])('%s without room: an outage, until it was left alone for a while', async (_, config, text) => {
        await using server = await start({ config })
        await using observer = await observe(server.url)
        const stream = await observer.addStream('events.>', { discard: 'new' })
        const connection = await client.connect(server.url)
        const clock = shiftedClock()
        await using publisher = natsPublisher({ connection, subject, clock })
        const payload = JSON.stringify('x'.repeat(8_000))
        const entries = Array.from({ length: 16 }, (_, index) => dueEntry({ sequence: index + 1, payload }))
        const outcomes = await publish(publisher, entries)
        const refused = outcomes.findIndex(({ status }) => status !== 'published')
        expect(outcomes[refused]?.status).toBe('unavailable')
        expect(messageOf(outcomes[refused])).toMatch(text)
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({
          code: 'unavailable',
          message: expect.stringContaining('nats: JetStream is out of resources: '),
        })
        await observer.connection.request(`$JS.API.STREAM.PURGE.${stream}`)
        clock.shift(5_000)
        await publisher.probe?.({ signal: never })
        expect(await statuses(publisher, entries.slice(refused, refused + 1))).toEqual(['published'])
        await connection.close()
      })

      it.each([
        [{ error: { code: 503, err_code: 10_158, description: 'in process' } }, 'unknown'],
        [{ error: { code: 429, err_code: 10_167, description: 'too many requests' } }, 'unavailable'],
        [{ error: { code: 503, description: 'raft: not leader' } }, 'unavailable'],
        [{ stream: 'EVENTS', seq: 0, duplicate: true }, 'unknown'],
      ])('a leader that gets nothing stored and answers %j: an outage, believed for a while', async (reply, status) => {
        await using server = await start()
        await using observer = await observe(server.url)
        let asked = 0
        // in the leader's place: one that has lost its cluster cannot be had from a single server
        observer.connection.subscribe('events.>', {
          callback: (_, message) => {
            asked += 1
            message.respond(JSON.stringify(reply))
          },
        })
        await observer.connection.flush()
        const connection = await client.connect(server.url)
        const clock = shiftedClock()
        await using publisher = natsPublisher({ connection, subject: () => 'events.1', clock, ackTimeoutMs: 1_000 })
        expect(await statuses(publisher, [dueEntry()])).toEqual([status])
        expect(asked).toBe(status === 'unknown' ? 2 : 3)
        await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
        clock.shift(5_000)
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it('a stream whose figures leave out what it has no room for: the same', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        const stream = await observer.addStream('events.>', { max_bytes: 4_000, discard: 'new' })
        const connection = await client.connect(server.url)
        const clock = shiftedClock()
        await using publisher = natsPublisher({ connection, subject, clock, fence: 'subject' })
        for (let length = 1_000, sequence = 1; length > 0; sequence++) {
          const payload = JSON.stringify('x'.repeat(length))
          const [outcome] = await publish(publisher, [dueEntry({ sequence, payload })])
          if (outcome?.status === 'published') continue
          expect(outcome?.status).toBe('unavailable')
          // nobody's entry is to blame, however little is missing
          await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
          length -= 120
        }
        await observer.connection.request(`$JS.API.STREAM.PURGE.${stream}`)
        clock.shift(5_000)
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it('a subject that is full: retry, and nobody else is concerned', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        await observer.addStream('events.>', { max_msgs_per_subject: 1, discard: 'new', discard_new_per_subject: true })
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        const entries = [dueEntry({ sequence: 1 }), dueEntry({ sequence: 2 }), dueEntry({ aggregateId: '2' })]
        expect(await statuses(publisher, entries)).toEqual(['published', 'retry', 'published'])
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it('a stream that is deleted: an outage, until there is one again', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        const connection = await client.connect(server.url)
        const stream = await observer.addStream('events.>')
        await using byTemplate = natsPublisher({ connection, subject })
        await using byName = natsPublisher({ connection, subject: () => 'events.1', stream })
        for (const publisher of [byTemplate, byName]) await publisher.probe?.({ signal: never })
        await observer.deleteStreams()
        for (const publisher of [byTemplate, byName]) {
          expect(await statuses(publisher, [dueEntry()])).toEqual(['unavailable'])
          await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
        }
        await observer.addStream('events.>', { name: stream })
        for (const publisher of [byTemplate, byName]) await publisher.probe?.({ signal: never })
        await connection.close()
      })

      for (const fence of ['none', 'subject'] as const) {
        it(`a stream of several that is deleted, fence: '${fence}': an outage for the types that it took, until it is back`, async () => {
          await using server = await start()
          await using observer = await observe(server.url)
          const connection = await client.connect(server.url)
          const orders = await observer.addStream('events.order.>')
          await observer.addStream('events.user.>')
          await using publisher = natsPublisher({ connection, subject, fence })
          const first = [dueEntry(), dueEntry({ aggregateType: 'user' })]
          expect(await statuses(publisher, first)).toEqual(['published', 'published'])
          // no stream has ever taken this one: its entries have the trouble to themselves
          expect(await statuses(publisher, [dueEntry({ aggregateType: 'invoice' })])).toEqual(['unavailable'])
          await publisher.probe?.({ signal: never })

          await observer.connection.request(`$JS.API.STREAM.DELETE.${orders}`)
          const later = [dueEntry({ aggregateId: '2' }), dueEntry({ aggregateType: 'user', sequence: 2 })]
          expect(await statuses(publisher, later)).toEqual(['unavailable', 'published'])
          for (let probe = 0; probe < 2; probe++) {
            await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({
              code: 'unavailable',
              message: expect.stringContaining("no stream takes subject 'events.order.2'"),
            })
          }
          await observer.addStream('events.order.>', { name: orders })
          await publisher.probe?.({ signal: never })
          expect(await statuses(publisher, later.slice(0, 1))).toEqual(['published'])
          await connection.close()
        })
      }

      it('a stream that takes no messages though JetStream knows it: an outage; the probe stores nothing', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        const connection = await client.connect(server.url)
        const stream = await observer.addStream('events.>')
        let isUnheard = true
        // as on a server that does not know the stream's new leader yet
        const unheard: NatsConnectionLike = {
          publish: (to, data, options) =>
            connection.publish(isUnheard && to.startsWith('events.') ? `unheard.${to}` : to, data, {
              ...options,
            } as object),
          subscribe: (to, options) => connection.subscribe(to, { ...options } as object),
          status: () => connection.status(),
          isClosed: () => connection.isClosed(),
          isDraining: () => connection.isDraining(),
          get info() {
            return connection.info
          },
        }
        for (const options of [{}, { stream }]) {
          isUnheard = true
          await using publisher = natsPublisher({ connection: unheard, subject, ...options })
          expect(await statuses(publisher, [dueEntry()])).toEqual(['unavailable'])
          await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'unavailable' })
          isUnheard = false
          await publisher.probe?.({ signal: never })
        }
        expect(await observer.count(stream)).toBe(0)
        await connection.close()
      })

      it('a subject that a mapping changes: with the fence an outage that names both names', async () => {
        await using server = await start({ config: 'mappings { "in.>": "out.>" }' })
        await using observer = await observe(server.url)
        const stream = await observer.addStream('out.>')
        const connection = await client.connect(server.url)
        const clock = shiftedClock()
        const open = () =>
          natsPublisher({
            connection,
            subject: ({ aggregateId }) => `in.${aggregateId}`,
            stream,
            fence: 'subject',
            clock,
          })
        await using first = open()
        expect(await statuses(first, [dueEntry({ sequence: 1 })])).toEqual(['published'])
        await using publisher = open()
        for (let trial = 0; trial < 2; trial++) {
          const [outcome] = await publish(publisher, [dueEntry({ sequence: 2 })])
          expect(outcome?.status).toBe('unavailable')
          expect(messageOf(outcome)).toContain(`stream '${stream}' stores 'in.1' as 'out.1'`)
          await expect(publisher.probe?.({ signal: never })).rejects.toMatchObject({ code: 'setup-required' })
          clock.shift(30_000)
          await publisher.probe?.({ signal: never })
        }
        expect(await observer.count(stream)).toBe(1)
        await connection.close()
      })

      it('a subject that a mapping changes, unanswered once: the probe finds that it is taken', async () => {
        await using server = await start({ config: 'mappings { "in.>": "out.>" }' })
        await using observer = await observe(server.url)
        const stream = await observer.addStream('out.>')
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject: ({ aggregateId }) => `in.${aggregateId}`, stream })
        expect(await statuses(publisher, [dueEntry()])).toEqual(['published'])
        const stopped = new AbortController()
        const lost = publisher.publish([dueEntry({ sequence: 2 })], { signal: stopped.signal })
        stopped.abort()
        expect((await lost).map(({ status }) => status)).toEqual(['unknown'])
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it('a message above max_payload is rejected for ever, with both sizes; one below it is taken', async () => {
        await using server = await start({ config: 'max_payload: 4096' })
        await using observer = await observe(server.url)
        await observer.addStream('events.>')
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        expect(publisher.capabilities.maxPayloadBytes).toBe(3_072)
        const large = dueEntry({ aggregateId: 'large', payload: JSON.stringify('x'.repeat(3_071)) })
        const heavy = dueEntry({
          aggregateId: 'heavy',
          payload: JSON.stringify('x'.repeat(3_000)),
          headers: { h: 'x'.repeat(1_000) },
        })
        const fits = dueEntry({ aggregateId: 'fits', payload: JSON.stringify('x'.repeat(3_070)) })
        const outcomes = await publish(publisher, [large, heavy, fits])
        expect(outcomes.map(({ status }) => status)).toEqual(['reject', 'reject', 'published'])
        expect(messageOf(outcomes[0])).toMatch(/\d+ bytes, 3073 of them its body; the server's max_payload is 4096/)
        await connection.close()
      })

      it('a message larger than a record in a file of a stream is rejected, whatever max_payload allows', async () => {
        await using server = await start({ config: 'max_payload: 64MB' })
        await using observer = await observe(server.url)
        const stream = await observer.addStream('events.>')
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        expect(publisher.capabilities.maxPayloadBytes).toBe(32 * 1024 * 1024 - 1_024)
        const large = dueEntry({ payload: JSON.stringify('x'.repeat(33 * 1024 * 1024)) })
        const outcomes = await publish(publisher, [large])
        expect(outcomes.map(({ status }) => status)).toEqual(['reject'])
        expect(messageOf(outcomes[0])).toContain('a stream takes 32 MiB at most')
        expect(await observer.count(stream)).toBe(0)
        await connection.close()
      })

      it('a stream whose limit is lower still: rejected by the server, for ever', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        await observer.addStream('events.>', { max_msg_size: 1_000 })
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        const [outcome] = await publish(publisher, [dueEntry({ payload: JSON.stringify('x'.repeat(1_000)) })])
        expect(outcome?.status).toBe('reject')
        expect(messageOf(outcome)).toContain('(10054)')
        await connection.close()
      })

      it('a subject that no stream takes: unavailable, naming the subject', async () => {
        await using server = await start()
        const connection = await client.connect(server.url)
        for (const fence of ['none', 'subject'] as const) {
          await using publisher = natsPublisher({ connection, subject, fence })
          const [outcome] = await publish(publisher, [dueEntry()])
          expect(outcome?.status).toBe('unavailable')
          expect(messageOf(outcome)).toContain("no stream takes subject 'events.order.1' (503, no responders)")
        }
        await connection.close()
      })

      it('a subject that belongs to another stream than the option says is refused', async () => {
        await using server = await start()
        await using observer = await observe(server.url)
        await observer.addStream('events.>')
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject, stream: 'OTHER' })
        const [outcome] = await publish(publisher, [dueEntry()])
        expect(outcome?.status).toBe('retry')
        expect(messageOf(outcome)).toContain("(10060); the subject belongs to another stream than option 'stream' says")
        await connection.close()
      })

      it('a subject that the user may not publish to: told at once, naming it; others go on, and the probe lets them', async () => {
        const allowed = 'publish: { deny: ["events.order.secret"] }, subscribe: ["_INBOX.>"]'
        await using server = await start({
          config: `authorization { users: [{ user: all, password: x }, { user: some, password: x, permissions: { ${allowed} } }] }`,
        })
        await using observer = await observe(server.url, { user: 'all', pass: 'x' })
        await observer.addStream('events.>')
        const connection = await client.connect(server.url, { user: 'some', pass: 'x' })
        await using publisher = natsPublisher({ connection, subject, ackTimeoutMs: 60_000 })
        const outcomes = await publish(publisher, [
          dueEntry({ aggregateId: 'secret' }),
          dueEntry({ aggregateId: 'open' }),
        ])
        expect(outcomes.map(({ status }) => status)).toEqual(['unavailable', 'published'])
        expect(messageOf(outcomes[0])).toContain("the NATS user may not publish to 'events.order.secret'")
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it('forbidden subjects that the server quotes are told at once, too, and stop nobody', async () => {
        const permissions = 'publish: { deny: ["events.odd.>"] }, subscribe: ["_INBOX.>"]'
        await using server = await start({
          config: `authorization { users: [{ user: all, password: x }, { user: some, password: x, permissions: { ${permissions} } }] }`,
        })
        await using observer = await observe(server.url, { user: 'all', pass: 'x' })
        await observer.addStream('events.>')
        const connection = await client.connect(server.url, { user: 'some', pass: 'x' })
        const unescaped = ({ aggregateId }: { readonly aggregateId: string }) => `events.${aggregateId}`
        await using publisher = natsPublisher({ connection, subject: unescaped })
        const odd = ['q"uote', 'back\\slash', '\\u0041', '\\"', 'größe😀', 'soft\u00adhyphen', '\u0085', 'tag\u{e0001}']
        const outcomes = await publish(publisher, [
          ...odd.map((id) => dueEntry({ aggregateId: `odd.${id}` })),
          dueEntry({ aggregateId: 'open' }),
        ])
        expect(outcomes.map(({ status }) => status)).toEqual([...odd.map(() => 'unavailable'), 'published'])
        await publisher.probe?.({ signal: never })
        await connection.close()
      })

      it('replies that the user may not receive: unknown at once, naming inboxPrefix; with the right one it works', async () => {
        await using server = await start({
          config: `authorization { users: [{ user: all, password: x }, { user: some, password: x, permissions: { subscribe: ["_MINE.>"] } }] }`,
        })
        await using observer = await observe(server.url, { user: 'all', pass: 'x' })
        await observer.addStream('events.>')
        const connection = await client.connect(server.url, { user: 'some', pass: 'x', inboxPrefix: '_MINE' })
        await using wrong = natsPublisher({ connection, subject, ackTimeoutMs: 60_000 })
        const [outcome] = await publish(wrong, [dueEntry()])
        expect(outcome?.status).toBe('unknown')
        expect(messageOf(outcome)).toContain('set inboxPrefix to what is allowed')
        await using right = natsPublisher({ connection, subject, inboxPrefix: '_MINE' })
        expect(await statuses(right, [dueEntry({ aggregateId: randomUUID() })])).toEqual(['published'])
        await connection.close()
      })

      it('a connection that is closed or draining: unavailable', async () => {
        await using server = await start()
        const connection = await client.connect(server.url)
        await using publisher = natsPublisher({ connection, subject })
        const drained = connection.drain()
        const [draining] = await publish(publisher, [dueEntry()])
        expect(draining?.status).toBe('unavailable')
        expect(messageOf(draining)).toContain('draining')
        await drained
        const [closed] = await publish(publisher, [dueEntry()])
        expect(closed?.status).toBe('unavailable')
        expect(messageOf(closed)).toContain('closed')
      })
    })
  }
}
