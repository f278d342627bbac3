import { randomInt } from 'node:crypto'
import type { ChildExit, NodeChild } from '@outbox/services'

/** One place in a fleet of processes; whoever dies there is started again. */
export interface Place {
  child: NodeChild
  isWanted: boolean
}

/** A process that ended though nobody had told it to. */
export interface Death {
  readonly end: ChildExit
  /** the last of what it printed */
  readonly said: string
}

/** Processes of one kind under supervision: who dies is started again, until its place is given up. */
export class Fleet {
  readonly #kind: string
  readonly #start: (index: number) => NodeChild
  readonly #places: Place[] = []
  readonly #ended: NodeChild[] = []
  readonly #killed = new Set<unknown>()
  readonly #deaths: Death[] = []

  /** @param start - starts the process of a place, the first or a later one */
  constructor(kind: string, start: (index: number) => NodeChild) {
    this.#kind = kind
    this.#start = start
  }

  /** those whose places are not given up */
  get wanted(): readonly NodeChild[] {
    return this.places.map(({ child }) => child)
  }

  get places(): readonly Place[] {
    return this.#places.filter(({ isWanted }) => isWanted)
  }

  /** all that there have ever been, those that have died as well */
  get everybody(): readonly NodeChild[] {
    return [...this.#ended, ...this.#places.map(({ child }) => child)]
  }

  /** Processes that ended by themselves, or by a signal that nobody sent on purpose. */
  get deaths(): readonly Death[] {
    return this.#deaths
  }

  /** One of those that are wanted, by chance. */
  any(): NodeChild {
    return oneOf(this.wanted, this.#kind)
  }

  add(): void {
    const index = this.#places.length
    const place: Place = { child: this.#start(index), isWanted: true }
    this.#places.push(place)
    void this.#supervise(place, index)
  }

  /** Its end, which comes soon, is meant. */
  expectEndOf(victim: unknown): void {
    this.#killed.add(victim)
  }

  /** SIGTERM to all of them; who was still loading does not hear it, and just ends. */
  async end(): Promise<void> {
    const wanted = this.places
    for (const place of wanted) place.isWanted = false
    await Promise.all(
      wanted.map(async ({ child }) => {
        const end = await child.signal('SIGTERM')
        if (end.code !== 0 && end.signal !== 'SIGTERM') this.#deaths.push(deathOf(child, end))
      }),
    )
  }

  /** SIGKILL to all of them, for good. */
  async kill(): Promise<void> {
    for (const place of this.#places) place.isWanted = false
    await Promise.all(this.#places.map(({ child }) => child.kill()))
  }

  async #supervise(place: Place, index: number): Promise<void> {
    for (;;) {
      const { child } = place
      const end = await child.exit
      if (!place.isWanted) return
      this.#ended.push(child)
      if (!this.#killed.has(child)) this.#deaths.push(deathOf(child, end))
      place.child = this.#start(index)
    }
  }
}

/** One of these, by chance. */
export function oneOf(children: readonly NodeChild[], kind: string): NodeChild {
  const child = children[randomInt(Math.max(1, children.length))]
  if (!child) throw new Error(`there is no ${kind}`)
  return child
}

function deathOf(child: NodeChild, end: ChildExit): Death {
  return { end, said: child.output().split('\n').slice(-25).join('\n') }
}
