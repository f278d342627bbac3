import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { compiledSoFar } from './compile-cache.ts'
import type { FromProducer, FromRelay, ToProducer, ToRelay } from './messages.ts'
import type { World } from './world.ts'

interface Started {
  readonly child: ChildProcess
  /** when it has ended, and all that it had to say is heard */
  readonly gone: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

/** Starts another process of the demo; it ends when this one does. */
function start(file: string, args: readonly unknown[]): Started {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(args)], {
    execArgv: [...process.execArgv, '--disable-warning=ExperimentalWarning'],
    env: { ...process.env, ...compiledSoFar() },
  })
  const gone = Promise.all([once(child, 'exit'), once(child, 'disconnect')])
  return { child, gone: gone.then(([[code, signal]]) => ({ code, signal })) }
}

/** A process that has just died hears nothing more: how it ended is told by its end. */
function tell(child: ChildProcess, message: ToProducer | ToRelay): void {
  if (child.connected) child.send(message, () => undefined)
}

async function kill(processes: readonly Started[]): Promise<void> {
  for (const { child } of processes) child.kill('SIGKILL')
  await Promise.all(processes.map(({ gone }) => gone))
}

/** The producer processes. */
export class ProducerProcesses implements AsyncDisposable {
  readonly #all: readonly Started[]
  /** ids of the changes whose transactions ended well */
  readonly committed = new Set<string>()
  /** why a producer ended early, which none should */
  failure: Error | undefined
  #working: number

  constructor(world: World, paceMs: number) {
    this.#working = world.options.producers
    this.#all = Array.from({ length: world.options.producers }, (_, index) => {
      const started = start('./producer.ts', [world, index, paceMs])
      started.child.on('message', (ids: FromProducer) => {
        for (const id of ids) this.committed.add(id)
      })
      void started.gone.then(({ code, signal }) => {
        this.#working -= 1
        if (code !== 0 && signal !== 'SIGINT')
          this.failure = new Error(`producer ${index + 1} ended with ${signal ?? `code ${code}`}`)
      })
      return started
    })
  }

  get areAtWork(): boolean {
    return this.#working > 0
  }

  /** Each kill releases some of what they hold back. */
  hearOfKills(kills: number): void {
    for (const { child } of this.#all) tell(child, kills)
  }

  /** Ends those that are left when the demo fails. */
  [Symbol.asyncDispose](): Promise<void> {
    return kill(this.#all)
  }
}

/** The relay processes: some of them are killed, each is replaced at once under a new name. */
export class RelayProcesses implements AsyncDisposable {
  readonly #world: World
  readonly #random: () => number
  readonly #alive = new Map<string, Started>()
  /** relays that have entries in hand, as far as they have told */
  readonly #busy = new Set<string>()
  /** relays that ended with entries in hand */
  readonly interrupted = new Set<string>()
  /** entries that the broker may have, though it did not say so in time */
  readonly unanswered = new Set<string>()
  kills = 0
  /** of the kills, those that struck a relay with entries in hand */
  strikes = 0
  /** why a relay ended by itself, which none should */
  failure: Error | undefined
  #started = 0
  #hasBegun = false
  #isKillDue = false
  #isReplacing = false
  #dying: Promise<void> = Promise.resolve()
  #isStopping = false

  constructor(world: World, random: () => number) {
    this.#world = world
    this.#random = random
  }

  /** those that live, and the one that is about to take a dead one's place */
  get size(): number {
    return this.#alive.size + (this.#isReplacing ? 1 : 0)
  }

  /** Whether a kill can be due: since the last one, some relay has had something in hand. */
  get areAtWork(): boolean {
    return this.#hasBegun && !this.#isKillDue
  }

  add(): void {
    const name = `relay-${++this.#started}`
    const started = start('./relay.ts', [this.#world, name])
    started.child.on('message', (message: FromRelay) => this.#hear(name, message))
    void started.gone.then(({ code, signal }) => {
      if (this.#alive.get(name) === started && !this.#isStopping && signal !== 'SIGINT')
        this.failure = new Error(`${name} ended with ${signal ?? `code ${code}`}`)
    })
    this.#alive.set(name, started)
  }

  #hear(name: string, message: FromRelay): void {
    if (typeof message === 'object') for (const id of message.unanswered) this.unanswered.add(id)
    else if (message === 'interrupted') this.interrupted.add(name)
    else if (message === 'idle') this.#busy.delete(name)
    else {
      this.#busy.add(name)
      this.#hasBegun = true
      this.#killOne()
    }
  }

  /** SIGKILL for one that has entries in hand, as soon as one has, and a new one in its place. */
  killSoon(): void {
    this.#isKillDue = true
    this.#killOne()
  }

  #killOne(): void {
    const names = [...this.#alive.keys()].filter((name) => this.#busy.has(name))
    const name = names[Math.floor(this.#random() * names.length)]
    const victim = name === undefined ? undefined : this.#alive.get(name)
    if (!this.#isKillDue || name === undefined || victim === undefined) return
    this.#isKillDue = false
    this.#isReplacing = true
    this.#hasBegun = false
    this.#alive.delete(name)
    this.interrupted.add(name)
    this.#dying = kill([victim]).then(() => {
      this.kills += 1
      if (this.#busy.has(name)) this.strikes += 1 // nor has it told otherwise before it died
      this.#isReplacing = false
      if (!this.#isStopping) this.add()
    })
  }

  /** Tells all to stop; each finishes what it has in hand. @throws {Error} when one does not end well */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#dying
    await Promise.all(
      [...this.#alive].map(async ([name, { child, gone }]) => {
        tell(child, 'stop')
        const { code, signal } = await gone
        if (code !== 0) throw new Error(`${name} ended with ${signal ?? `code ${code}`}`)
      }),
    )
    this.#alive.clear()
  }

  /** Ends those that are left when the demo fails. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    await this.#dying
    await kill([...this.#alive.values()])
  }
}
