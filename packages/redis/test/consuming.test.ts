import { readFile } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { describeWith, type OwnServer, startTcpProxy, type TcpProxy, waitFor } from '@outbox/services'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { decodeRedisEntry, redisPublisher } from '../src/index.ts'
import { clients, connect, dueEntry, publish, servers } from './support.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const [, sample = ''] = /<!-- snippet: redis-consumer -->\n```ts\n([\s\S]*?)```/.exec(readme) ?? []
const program = stripTypeScriptTypes(sample).replaceAll(/^import .*$/gm, '')

/** What stands in for the sample's imports and globals. */
interface Surroundings {
  readonly Redis: unknown
  readonly decodeRedisEntry: unknown
  readonly console: { log(...said: readonly unknown[]): void; error(...said: readonly unknown[]): void }
  readonly setTimeout: (ms: number) => Promise<void>
}

/** Runs the README's consumer, which ends only when its pause throws. */
function run(surroundings: Surroundings): Promise<void> {
  const AsyncFunction = async function empty() {}.constructor
  const main: unknown = Reflect.construct(AsyncFunction, [...Object.keys(surroundings), program])
  if (typeof main !== 'function') throw new TypeError('the sample is no program')
  return Reflect.apply(main, undefined, Object.values(surroundings))
}

const [{ name: serverName, need, start } = {}] = servers
if (!serverName || !need || !start) throw new Error('there is no server to test with')

for (const library of clients) {
  describeWith(need, `the README's consumer, with ${library.name},`, () => {
    let server: OwnServer
    let proxy: TcpProxy
    let direct: ReturnType<typeof connect>
    let consumer: ReturnType<typeof library.connect> | undefined
    let ended: Promise<unknown> | undefined
    /** sequences that were handled, in order */
    const handled: number[] = []
    const pauses: number[] = []
    /** what the consumer's pauses wait for */
    let pausing: Promise<void> | undefined
    const told: unknown[] = []
    let fails = false
    let isOver = false

    beforeAll(async () => {
      server = await start()
      direct = connect(server.url)
    })
    beforeEach(async () => {
      await direct.flushall()
      proxy = await startTcpProxy(server.url)
      handled.length = 0
      pauses.length = 0
      pausing = undefined
      told.length = 0
      isOver = false
      fails = false
    })
    afterEach(async () => {
      isOver = true
      consumer?.disconnect()
      await ended
      await proxy[Symbol.asyncDispose]()
    })
    afterAll(async () => {
      direct.disconnect()
      await server[Symbol.asyncDispose]()
    })

    function startConsumer(): void {
      ended = run({
        // `new` on a function that returns an object gives that object
        Redis: function Redis(options = {}) {
          consumer = library.connect(proxy.through(server.url), options)
          return consumer
        },
        decodeRedisEntry,
        console: {
          log(_id, _eventType, sequence) {
            if (fails) throw new Error('the database is away')
            handled.push(Number(sequence))
          },
          error: (error) => told.push(error),
        },
        async setTimeout(ms) {
          pauses.push(ms)
          await pausing
          if (isOver) throw new Error('over')
        },
      }).catch((error: unknown) => error)
    }
    async function startReading(): Promise<void> {
      startConsumer()
      await waitFor(async () => (await readers()) === 1, { what: 'the consumer to read' })
    }
    /** how many wait for what is new */
    async function readers(): Promise<number> {
      return Number(/^blocked_clients:(\d+)/m.exec(await direct.info('clients'))?.[1])
    }
    async function produce(...sequences: readonly number[]): Promise<void> {
      const publisher = redisPublisher({ client: direct, stream: 'events:order' })
      // the sample shows what is in the payload: here it is the sequence
      const entries = sequences.map((sequence) => dueEntry({ sequence, payload: `{"totalCents":${sequence}}` }))
      await publish(publisher, entries)
    }
    async function pending(): Promise<number> {
      const [count] = await direct.xpending('events:order', 'billing')
      return Number(count)
    }

    it('handles what comes, in order, and acknowledges it', async () => {
      await startReading()
      await produce(1, 2, 3)
      await waitFor(() => handled.length === 3, { what: 'three events' })
      expect(handled).toEqual([1, 2, 3])
      await waitFor(async () => (await pending()) === 0, { what: 'them to be acknowledged' })
    })

    it('finds what an answer held that was lost with its connection, before anything later', async () => {
      await startReading()
      proxy.holdAnswers()
      await produce(1)
      await waitFor(async () => (await pending()) === 1, { what: 'the event to be given to it' })
      await produce(2)
      proxy.reset()
      proxy.heal()
      await waitFor(() => handled.includes(2), { what: 'the later event' })
      expect(handled).toEqual([1, 2])
      await waitFor(async () => (await pending()) === 0, { what: 'both to be acknowledged' })
      // as long as the server may go on with a read whose connection is gone
      expect(pauses.length).toBeGreaterThan(0)
      for (const ms of pauses) expect(ms).toBeGreaterThanOrEqual(5_000)
    })

    it('tries again what could not be handled, before anything later', async () => {
      await startReading()
      fails = true
      await produce(1)
      await waitFor(() => pauses.length > 1, { what: 'it to fail twice' })
      await produce(2)
      fails = false
      await waitFor(() => handled.includes(2), { what: 'the later event' })
      expect(handled).toEqual([1, 2])
      await waitFor(async () => (await pending()) === 0, { what: 'both to be acknowledged' })
    })

    it('waits for a read that the server goes on with for an earlier process', async () => {
      await direct.xgroup('CREATE', 'events:order', 'billing', '0', 'MKSTREAM')
      const earlier = connect(server.url)
      const taken = earlier.xreadgroup('GROUP', 'billing', 'one', 'BLOCK', 60_000, 'STREAMS', 'events:order', '>')
      await waitFor(async () => (await readers()) === 1, { what: 'the earlier process to read' })
      pausing = taken.then(() => undefined)
      startConsumer()
      await waitFor(async () => pauses.length > 0 || (await readers()) === 2, { what: 'the consumer to begin' })
      await produce(1)
      await taken
      earlier.disconnect()
      await produce(2)
      await waitFor(() => handled.includes(2), { what: 'the later event' })
      expect(handled).toEqual([1, 2])
      expect(pauses).toEqual([5_000])
    })

    it('goes on when its group and stream are lost', async () => {
      await startReading()
      await direct.flushall()
      await produce(1)
      await waitFor(() => handled.includes(1), { what: 'what the new stream has' })
    })

    it('tells of an item that was deleted before it was handled, and goes on', async () => {
      await startReading()
      fails = true
      await produce(1, 2)
      await waitFor(() => pauses.length > 1, { what: 'the first to fail' })
      const [[first = ''] = []] = await direct.xrange('events:order', '-', '+', 'COUNT', 1)
      await direct.xdel('events:order', first)
      await waitFor(() => told.includes(`${first} was deleted before it was handled`), { what: 'it to be told' })
      fails = false
      await waitFor(() => handled.length > 0, { what: 'the later event' })
      expect(handled).toEqual([2])
      await waitFor(async () => (await pending()) === 0, { what: 'both to be acknowledged' })
    })
  })
}
