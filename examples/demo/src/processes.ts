import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { World } from './world.ts'

/** Starts another process of the demo; it ends when this one does. */
function start(file: string, args: readonly unknown[]): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), [JSON.stringify(args)], {
    execArgv: [...process.execArgv, '--disable-warning=ExperimentalWarning'],
  })
}

/** Resolves when all producers are through. @throws {Error} when one fails */
export async function runProducers(world: World, durationMs: number): Promise<void> {
  const indexes = Array.from({ length: world.options.producers }, (_, index) => index)
  await Promise.all(
    indexes.map(async (index) => {
      const [code] = await once(start('./producer.ts', [world, index, durationMs]), 'exit')
      if (code !== 0) throw new Error(`producer ${index + 1} ended with code ${code}`)
    }),
  )
}

/** The relay processes: some of them are killed, each is replaced at once under a new name. */
export class RelayProcesses implements Disposable {
  readonly #world: World
  readonly #alive = new Map<string, ChildProcess>()
  /** relays that know what to do on SIGTERM; one that is still being loaded just ends, with nothing in hand */
  readonly #listening = new Set<string>()
  /** relays that ended with batches in hand */
  readonly interrupted = new Set<string>()
  kills = 0
  /** why a relay ended by itself, which none should */
  failure: Error | undefined
  #started = 0
  #isStopping = false

  constructor(world: World) {
    this.#world = world
  }

  get size(): number {
    return this.#alive.size
  }

  add(): void {
    const name = `relay-${++this.#started}`
    const child = start('./relay.ts', [this.#world, name])
    child.on('message', (message) => (message === 'listening' ? this.#listening : this.interrupted).add(name))
    child.on('exit', (code) => {
      if (this.#alive.get(name) === child && !this.#isStopping)
        this.failure = new Error(`${name} ended with code ${code}`)
    })
    this.#alive.set(name, child)
  }

  /** SIGKILL for one of them, and a new one in its place. */
  async killOne(random: () => number): Promise<void> {
    const [name, child] = [...this.#alive][Math.floor(random() * this.#alive.size)] ?? []
    if (name === undefined || child === undefined) return
    this.#alive.delete(name)
    this.interrupted.add(name)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    this.kills += 1
    this.add()
  }

  /** Ends those that are left when the demo fails. */
  [Symbol.dispose](): void {
    for (const child of this.#alive.values()) child.kill('SIGKILL')
  }

  /** SIGTERM for all; each finishes what it has in hand. @throws {Error} when one does not end well */
  async stop(): Promise<void> {
    this.#isStopping = true
    await Promise.all([...this.#alive].map(([name, child]) => this.#stopOne(name, child)))
    this.#alive.clear()
  }

  async #stopOne(name: string, child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    const [code, signal] = await gone
    const wasLoading = signal === 'SIGTERM' && !this.#listening.has(name)
    if (code !== 0 && !wasLoading) throw new Error(`${name} ended with ${signal ?? `code ${code}`}`)
  }
}
