import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { setTimeout } from 'node:timers/promises'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect as connect3 } from '@nats-io/transport-node'
import { describeWith, type OwnServer, waitFor } from '@outbox/services'
import { connect as connect2 } from 'nats'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { decodeNatsMessage, natsPublisher } from '../src/index.ts'
import { dueEntry, publish, servers } from './support.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const [, sample = ''] = /<!-- snippet: nats-consumer -->\n```ts\n([\s\S]*?)```/.exec(readme) ?? []
const program = stripTypeScriptTypes(sample)
  .replaceAll(/^import .*$/gm, '')
  .replace('pauseMs = 5_000', 'pauseMs = 300') // for the server: how long it holds back what is refused

/** What stands in for the sample's imports and globals. */
interface Surroundings {
  readonly connect: (options: object) => Promise<unknown>
  readonly AckPolicy: unknown
  readonly decodeNatsMessage: unknown
  readonly console: { log(...said: readonly unknown[]): void; error(...said: readonly unknown[]): void }
  readonly setTimeout: (ms: number) => Promise<void>
}

/** Runs the README's consumer, which ends when its connection was drained. */
function run(surroundings: Surroundings): Promise<void> {
  const AsyncFunction = async function empty() {}.constructor
  const main: unknown = Reflect.construct(AsyncFunction, [...Object.keys(surroundings), program])
  if (typeof main !== 'function') throw new TypeError('the sample is no program')
  return Reflect.apply(main, undefined, Object.values(surroundings))
}

interface Connected {
  readonly connection: { drain(): Promise<void> }
  /** the connection as the sample knows it */
  readonly asSampled: unknown
}

/** Both libraries, as the README says to use them. */
const libraries: readonly {
  readonly name: string
  readonly connect: (servers: string, options: object) => Promise<Connected>
}[] = [
  {
    name: 'nats 2',
    async connect(url, options) {
      const connection = await connect2({ servers: url, ...options })
      return { connection, asSampled: connection }
    },
  },
  {
    name: '@nats-io 3',
    async connect(url, options) {
      const connection = await connect3({ servers: url, ...options })
      const asSampled = {
        isClosed: () => connection.isClosed(),
        jetstreamManager: () => jetstreamManager(connection),
        jetstream: () => jetstream(connection),
      }
      return { connection, asSampled }
    },
  },
]

const [{ name: serverName, need, start } = {}] = servers
if (!serverName || !need || !start) throw new Error('there is no server to test with')

for (const library of libraries) {
  describeWith(need, `the README's consumer, with ${library.name},`, () => {
    let server: OwnServer
    let direct: Awaited<ReturnType<typeof connect3>>
    let manager: Awaited<ReturnType<typeof jetstreamManager>>
    let consumer: Connected | undefined
    let ended: Promise<unknown>
    /** sequences that were handled, in order */
    const handled: number[] = []
    const told: unknown[] = []
    let fails = false

    beforeAll(async () => {
      server = await start()
      direct = await connect3({ servers: server.url })
      manager = await jetstreamManager(direct)
    })
    beforeEach(async () => {
      await addStream()
      handled.length = 0
      told.length = 0
      fails = false
      ended = run({
        async connect(options) {
          consumer = await library.connect(server.url, options)
          return consumer.asSampled
        },
        AckPolicy,
        decodeNatsMessage,
        console: {
          log(_id, _eventType, sequence) {
            if (fails) throw new Error('the database is away')
            handled.push(Number(sequence))
          },
          error: (error) => told.push(error),
        },
        setTimeout,
      }).catch((error: unknown) => error)
    })
    afterEach(async () => {
      await consumer?.connection.drain()
      expect(await ended).toBeUndefined()
      await manager.streams.delete('EVENTS')
    })
    afterAll(async () => {
      await direct.close()
      await server[Symbol.asyncDispose]()
    })

    async function addStream(): Promise<void> {
      await manager.streams.add({ name: 'EVENTS', subjects: ['events.>'] })
    }
    async function produce(...sequences: readonly number[]): Promise<void> {
      await using publisher = natsPublisher({ connection: direct, subject: 'events.{aggregateType}.{aggregateId}' })
      // the sample shows what is in the payload: here it is the sequence
      const entries = sequences.map((sequence) => dueEntry({ sequence, payload: `{"totalCents":${sequence}}` }))
      expect(await publish(publisher, entries)).toEqual(entries.map(() => ({ status: 'published' })))
    }
    async function handles(...sequences: readonly number[]): Promise<void> {
      await waitFor(() => handled.length >= sequences.length, { what: `${sequences.length} events` })
      expect(handled).toEqual(sequences)
    }
    async function hasAcknowledgedAll(): Promise<boolean> {
      const { num_pending, num_ack_pending } = await manager.consumers.info('EVENTS', 'billing')
      return num_pending + num_ack_pending === 0
    }

    it('handles what comes, in order, and acknowledges it', async () => {
      await produce(1, 2, 3)
      await handles(1, 2, 3)
      await waitFor(hasAcknowledgedAll, { what: 'them to be acknowledged' })
      expect(told).toEqual([])
    })

    it('goes on when its durable is gone', async () => {
      await produce(1)
      await handles(1)
      await manager.consumers.delete('EVENTS', 'billing')
      await produce(2)
      await handles(1, 1, 2) // a new durable begins at the beginning: an inbox knows what was handled
    })

    it('goes on when its stream is made anew', async () => {
      await produce(1)
      await handles(1)
      await manager.streams.delete('EVENTS')
      await waitFor(() => told.length > 1, { what: 'it to find no stream' })
      await addStream()
      await produce(2)
      await handles(1, 2)
    })

    it('tries again what could not be handled, before anything later', async () => {
      fails = true
      await produce(1, 2)
      await waitFor(() => told.length > 1, { what: 'the first to fail twice' })
      fails = false
      await handles(1, 2)
      await waitFor(hasAcknowledgedAll, { what: 'both to be acknowledged' })
    })

    it('tells of a message that no outbox wrote, and goes on once that is gone', async () => {
      const { seq } = await jetstream(direct).publish('events.order.1', '{"from":"another producer"}')
      await waitFor(() => told.length > 1, { what: 'it to be told twice' })
      expect(String(told[0])).toContain('The message cannot be decoded')
      await produce(1)
      await manager.streams.deleteMessage('EVENTS', seq)
      await handles(1)
    })
  })
}
