import { fileURLToPath } from 'node:url'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { Application } from '@outbox/end-to-end/application'
import { type BrokerAddress, type BrokerKind, createStream, lengthOf } from '@outbox/end-to-end/brokers'
import type { RelayProcessOptions } from '@outbox/end-to-end/relay-process'
import { type StoreAddress, type StoreName, stores } from '@outbox/end-to-end/stores'
import { programOf } from '@outbox/end-to-end/system'
import {
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
import { type Death, Fleet, oneOf } from './fleet.ts'
import type { LoadProcessOptions } from './load-process.ts'
import { whenThere } from './notes.ts'
import { hasPublished, heldAgainAt, isAtWork, type Message, publishedAt, toldBy } from './told.ts'

/** Short times, so that many faults fit into a run. What a relay that died leaves behind is taken over within the first two. */
export const timing = Object.freeze({
  leaseMs: 1_500,
  pollIntervalMs: 200,
  publishTimeoutMs: 800,
  storeTimeoutMs: 1_000,
  drainMs: 5_000,
  retry: { minDelayMs: 20, maxDelayMs: 500, maxAttempts: 10 },
})

/** What a relay has whose user gives it no times. */
export const defaultTimes = Object.freeze({
  leaseMs: 10_000,
  pollIntervalMs: 1_000,
  publishTimeoutMs: 5_000,
  storeTimeoutMs: 5_000,
  drainMs: 10_000,
})

export interface LabOptions {
  readonly store: StoreName
  readonly publisher: BrokerKind
  readonly relays?: number
  /** of the relays; default `timing` */
  readonly times?: typeof timing | typeof defaultTimes
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
  readonly #relays: Fleet = new Fleet('relay', (index) => this.#startRelay(index))
  readonly #producers: Fleet = new Fleet('producer', (index) => this.#startProducer(index))

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
    for (let index = 0; index < producers; index++) this.#producers.add()
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

  /** all relays that there have ever been */
  get everyRelay(): readonly NodeChild[] {
    return this.#relays.everybody
  }

  get relays(): readonly NodeChild[] {
    return this.#relays.wanted
  }

  get producers(): readonly NodeChild[] {
    return this.#producers.wanted
  }

  /** One by chance of those that have published something: what happens to it strikes it at its work. */
  async aRelay(): Promise<NodeChild> {
    const atWork = await waitFor(
      () => {
        const those = this.relays.filter(hasPublished)
        return those.length > 0 && those
      },
      { what: 'a relay to publish', timeoutMs: 60_000 },
    )
    return oneOf(atWork, 'relay')
  }

  aProducer(): NodeChild {
    return this.#producers.any()
  }

  addRelay(): void {
    this.#relays.add()
  }

  /** SIGKILL to one of the processes or servers, on purpose. */
  async kill(victim: { kill(): Promise<unknown> }): Promise<void> {
    for (const fleet of this.#fleets) fleet.expectEndOf(victim)
    await victim.kill()
  }

  /** SIGTERM to one that has been at work; resolves when it has ended, and is not started again. */
  async removeRelay(): Promise<void> {
    const place = await waitFor(() => this.#relays.places.find(({ child }) => isAtWork(child)), {
      what: 'a relay to work',
      timeoutMs: 60_000,
    })
    place.isWanted = false
    const end = await place.child.signal('SIGTERM')
    if (end.code !== 0) throw new Error(`a relay ended with ${end.code ?? end.signal}:\n${place.child.output()}`)
  }

  /** No more producers. */
  async stopProducing(): Promise<void> {
    await this.#producers.end()
  }

  async drain(timeoutMs = 240_000): Promise<void> {
    await waitFor(async () => (await whenThere(() => this.shop.outbox.stats()))?.pending === 0, {
      what: 'the backlog to be published',
      timeoutMs,
    })
  }

  /** Ends all relays in an orderly way. */
  async stopRelays(): Promise<void> {
    await this.#relays.end()
  }

  /** Processes that ended by themselves, or by a signal that nobody sent on purpose. */
  get deaths(): readonly Death[] {
    return this.#fleets.flatMap(({ deaths }) => deaths)
  }

  /** when every partition was, or had been since `from`, a living relay's, by the machine's clock; undefined: not yet */
  heldAgainAt(from: number): number | undefined {
    return heldAgainAt(this.relays, from)
  }

  /** when each entry was first told as published, by the machine's clock; who died may not have told it */
  publishedAt(): ReadonlyMap<string, number> {
    return publishedAt(this.#relays.everybody)
  }

  /** everything that relays and producers have told, those that have died as well */
  told(kind: string): readonly Message[] {
    return this.#fleets.flatMap(({ everybody }) => toldBy(everybody, kind))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#fleets.map((fleet) => fleet.kill()))
    await Promise.allSettled([this.shop[Symbol.asyncDispose]()]) // its server may be away for good
    await this.databaseProxy?.[Symbol.asyncDispose]()
    await this.brokerProxy[Symbol.asyncDispose]()
    await this.database[Symbol.asyncDispose]()
    await this.broker[Symbol.asyncDispose]()
  }

  get times(): typeof timing | typeof defaultTimes {
    return this.options.times ?? timing
  }

  get #fleets(): readonly Fleet[] {
    return [this.#relays, this.#producers]
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
      relay: this.times,
      tellsEntries: true,
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
}
