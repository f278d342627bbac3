import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { partitionCount } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { Application } from '@outbox/end-to-end/application'
import { type BrokerAddress, type BrokerKind, createStream, lengthOf } from '@outbox/end-to-end/brokers'
import type { RelayProcessOptions } from '@outbox/end-to-end/relay-process'
import { type StoreAddress, type StoreName, stores } from '@outbox/end-to-end/stores'
import { programOf } from '@outbox/end-to-end/system'
import {
  type ChildExit,
  compiled,
  type NodeChild,
  type OwnServer,
  spawnNode,
  startNats,
  startRedis,
  startTcpProxy,
  type TcpProxy,
  waitFor,
} from '@outbox/services'
import { type DatabaseServer, startDatabase } from './databases.ts'
import type { LoadProcessOptions } from './load-process.ts'
import { whenThere } from './notes.ts'

/** Short times, so that many faults fit into a run. What a relay that died leaves behind is taken over within the first two. */
export const timing = Object.freeze({
  leaseMs: 1_500,
  pollIntervalMs: 200,
  publishTimeoutMs: 800,
  storeTimeoutMs: 1_000,
  drainMs: 5_000,
  retry: { minDelayMs: 20, maxDelayMs: 500, maxAttempts: 10 },
})

export interface LabOptions {
  readonly store: StoreName
  readonly publisher: BrokerKind
  readonly relays?: number
  readonly producers?: number
  readonly entriesPerSecond?: number
  /** each relay and each producer is started with the environment of its place in the list */
  readonly relayEnvironments?: readonly Readonly<Record<string, string>>[]
  readonly producerEnvironments?: readonly Readonly<Record<string, string>>[]
  /** of the database server */
  readonly databaseEnvironment?: Readonly<Record<string, string>>
  /** lines of nats-server's configuration */
  readonly natsConfig?: string
  readonly relayFault?: RelayProcessOptions['fault']
  readonly special?: LoadProcessOptions['special']
}

/** What to start for each kind of process. */
interface Programs {
  readonly relay: string
  readonly load: string
}

/** One place in a fleet of processes; whoever dies there is started again. */
interface Place {
  child: NodeChild
  isWanted: boolean
}

/** What a relay process tells of its leases. */
interface PartitionsNote {
  readonly partitions: readonly number[]
  readonly atMs: number
}

/** What a relay process tells of a batch. */
interface PublishedNote {
  readonly ids: readonly string[]
  readonly atMs: number
}

/** A process that ended though nobody had told it to. */
export interface Death {
  readonly end: ChildExit
  /** the last of what it printed */
  readonly said: string
}

/** A whole system of its own: database, broker, proxies before both, producers and relays under supervision. */
export class Lab implements AsyncDisposable {
  readonly options: LabOptions
  readonly database: DatabaseServer
  readonly databaseProxy: TcpProxy | undefined
  readonly broker: OwnServer
  readonly brokerProxy: TcpProxy
  /** seen past the proxies, for whoever watches */
  readonly shop: Application
  readonly stream: BrokerAddress
  readonly #programs: Programs
  /** what the broker held when it lost it on purpose */
  readonly lostByBroker: ReceivedEntry[] = []
  readonly #relays: Place[] = []
  readonly #producers: Place[] = []
  readonly #ended: NodeChild[] = []
  readonly #killed = new Set<unknown>()
  readonly #deaths: Death[] = []
  #isClosing = false

  private constructor(parts: {
    readonly options: LabOptions
    readonly database: DatabaseServer
    readonly databaseProxy: TcpProxy | undefined
    readonly broker: OwnServer
    readonly brokerProxy: TcpProxy
    readonly shop: Application
    readonly stream: BrokerAddress
    readonly programs: Programs
  }) {
    this.options = parts.options
    this.database = parts.database
    this.databaseProxy = parts.databaseProxy
    this.broker = parts.broker
    this.brokerProxy = parts.brokerProxy
    this.shop = parts.shop
    this.stream = parts.stream
    this.#programs = parts.programs
  }

  static async open(options: LabOptions): Promise<Lab> {
    await using stack = new AsyncDisposableStack()
    const database = stack.use(await startDatabase(options.store, options.databaseEnvironment))
    const databaseProxy = database.server && stack.use(await startTcpProxy(database.url))
    const broker = stack.use(
      options.publisher === 'redis'
        ? await startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })
        : await startNats({ config: options.natsConfig ?? '' }),
    )
    const brokerProxy = stack.use(await startTcpProxy(broker.url))
    const shop = await stores[options.store].create(database.url)
    const stream: BrokerAddress = { kind: options.publisher, url: broker.url, stream: 'orders' }
    await createStream(stream)
    const programs = {
      relay: await programOf('relay'),
      load: await compiled(fileURLToPath(new URL('./load-process.ts', import.meta.url))),
    }
    stack.move()
    return new Lab({ options, database, databaseProxy, broker, brokerProxy, shop, stream, programs })
  }

  /** Starts everything; resolves when entries flow, and every relay has passed its checks and has its share. */
  async begin(): Promise<void> {
    const { relays = 3, producers = 4 } = this.options
    for (let index = 0; index < relays; index++) this.addRelay()
    for (let index = 0; index < producers; index++) this.#producers.push(this.#place(() => this.#startProducer(index)))
    try {
      await waitFor(async () => this.relays.every(isAtWork) && (await lengthOf(this.stream)) > 50, {
        what: 'entries to flow',
        timeoutMs: 120_000,
      })
    } catch (error) {
      const last = [...this.relays, ...this.producers].map((child) => child.output().split('\n').slice(-3).join('\n'))
      throw new Error(`nothing flows; what the processes said last:\n${last.join('\n')}`, { cause: error })
    }
  }

  get relays(): readonly NodeChild[] {
    return this.#relays.filter(({ isWanted }) => isWanted).map(({ child }) => child)
  }

  get producers(): readonly NodeChild[] {
    return this.#producers.map(({ child }) => child)
  }

  aRelay(): NodeChild {
    const child = this.relays[randomInt(this.relays.length)]
    if (!child) throw new Error('there is no relay')
    return child
  }

  aProducer(): NodeChild {
    const child = this.producers[randomInt(this.producers.length)]
    if (!child) throw new Error('there is no producer')
    return child
  }

  addRelay(): void {
    const index = this.#relays.length
    this.#relays.push(this.#place(() => this.#startRelay(index)))
  }

  /** SIGKILL to one of the processes or servers, on purpose. */
  async kill(victim: { kill(): Promise<unknown> }): Promise<void> {
    this.#killed.add(victim)
    await victim.kill()
  }

  /** SIGTERM to one that has been at work; resolves when it has ended, and is not started again. */
  async removeRelay(): Promise<void> {
    const place = await waitFor(() => this.#relays.find(({ isWanted, child }) => isWanted && isAtWork(child)), {
      what: 'a relay to work',
      timeoutMs: 60_000,
    })
    place.isWanted = false
    const end = await place.child.signal('SIGTERM')
    if (end.code !== 0) throw new Error(`a relay ended with ${end.code ?? end.signal}:\n${place.child.output()}`)
  }

  /** No more producers. */
  async stopProducing(): Promise<void> {
    await this.#end(this.#producers)
  }

  async drain(timeoutMs = 240_000): Promise<void> {
    await waitFor(async () => (await whenThere(() => this.shop.outbox.stats()))?.pending === 0, {
      what: 'the backlog to be published',
      timeoutMs,
    })
  }

  /** Ends all relays in an orderly way. */
  async stopRelays(): Promise<void> {
    await this.#end(this.#relays)
  }

  /** Processes that ended by themselves, or by a signal that nobody sent on purpose. */
  get deaths(): readonly Death[] {
    return this.#deaths
  }

  /** when every partition was, or had been since `from`, a living relay's, by the machine's clock; undefined: not yet */
  heldAgainAt(from: number): number | undefined {
    const heldAt = new Map<number, number>()
    for (const { messages } of this.relays) {
      // as: written by `relay-process.ts`
      const notes = messages.filter(isAboutPartitions) as readonly PartitionsNote[]
      notes.forEach(({ partitions, atMs }, index) => {
        if ((notes[index + 1]?.atMs ?? Infinity) <= from) return
        for (const one of partitions) heldAt.set(one, Math.min(heldAt.get(one) ?? Infinity, Math.max(atMs, from)))
      })
    }
    return heldAt.size === partitionCount ? Math.max(...heldAt.values()) : undefined
  }

  /** when each entry was first told as published, by the machine's clock; who died may not have told it */
  toldPublished(): ReadonlyMap<string, number> {
    const toldAt = new Map<string, number>()
    // as: written by `relay-process.ts`
    for (const { ids, atMs } of this.told('published') as unknown as readonly PublishedNote[]) {
      for (const id of ids) toldAt.set(id, Math.min(atMs, toldAt.get(id) ?? Infinity))
    }
    return toldAt
  }

  /** everything that relays and producers have told, those that have died as well */
  told(kind: string): readonly Readonly<Record<string, unknown>>[] {
    const places = [...this.#relays, ...this.#producers]
    return [...this.#ended, ...places.map(({ child }) => child)].flatMap(({ messages }) =>
      messages.filter(
        (message): message is Readonly<Record<string, unknown>> => isRecord(message) && message['kind'] === kind,
      ),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true
    const places = [...this.#relays, ...this.#producers]
    for (const place of places) place.isWanted = false
    await Promise.all(places.map(({ child }) => child.kill()))
    await Promise.allSettled([this.shop[Symbol.asyncDispose]()]) // its server may be away for good
    await this.databaseProxy?.[Symbol.asyncDispose]()
    await this.brokerProxy[Symbol.asyncDispose]()
    await this.database[Symbol.asyncDispose]()
    await this.broker[Symbol.asyncDispose]()
  }

  /** the store as the processes reach it: through the proxy */
  get #address(): StoreAddress {
    const { url } = this.database
    return { kind: this.options.store, url: this.databaseProxy?.through(url) ?? url }
  }

  #startRelay(index: number): NodeChild {
    const { relayFault: fault, relayEnvironments: environments = [] } = this.options
    const broker = { ...this.stream, url: this.brokerProxy.through(this.stream.url) }
    const options: RelayProcessOptions = {
      store: this.#address,
      broker,
      relay: timing,
      tellsPublished: true,
      ...(fault && { fault }),
    }
    return spawnNode(this.#programs.relay, [JSON.stringify(options)], {
      env: environments[index % environments.length] ?? {},
    })
  }

  #startProducer(index: number): NodeChild {
    const { entriesPerSecond = 600, producers = 4, special, producerEnvironments = [] } = this.options
    const options: LoadProcessOptions = {
      store: this.#address,
      aggregates: 600,
      entriesPerSecond: entriesPerSecond / producers,
      ...(special && index === 0 && { special }),
    }
    return spawnNode(this.#programs.load, [JSON.stringify(options)], { env: producerEnvironments[index] ?? {} })
  }

  #place(start: () => NodeChild): Place {
    const place: Place = { child: start(), isWanted: true }
    void this.#supervise(place, start)
    return place
  }

  async #supervise(place: Place, start: () => NodeChild): Promise<void> {
    for (;;) {
      const { child } = place
      const end = await child.exit
      if (!place.isWanted || this.#isClosing) return
      this.#ended.push(child)
      if (!this.#killed.has(child)) this.#deaths.push(deathOf(child, end))
      place.child = start()
    }
  }

  /** SIGTERM to all of them; who was still loading does not hear it, and just ends. */
  async #end(places: readonly Place[]): Promise<void> {
    const wanted = places.filter(({ isWanted }) => isWanted)
    for (const place of wanted) place.isWanted = false
    await Promise.all(
      wanted.map(async ({ child }) => {
        const end = await child.signal('SIGTERM')
        if (end.code !== 0 && end.signal !== 'SIGTERM') this.#deaths.push(deathOf(child, end))
      }),
    )
  }
}

function deathOf(child: NodeChild, end: ChildExit): Death {
  return { end, said: child.output().split('\n').slice(-25).join('\n') }
}

/** Whether a relay has passed its checks, and holds partitions or has held some. */
function isAtWork({ messages }: NodeChild): boolean {
  return messages.some(isAboutPartitions)
}

function isAboutPartitions(message: unknown): boolean {
  return isRecord(message) && message['kind'] === 'partitions'
}

function isRecord(message: unknown): message is Readonly<Record<string, unknown>> {
  return typeof message === 'object' && message !== null
}
