import type { Chance } from './chance.ts'
import type { Machine } from './machine.ts'
import type { Timeline } from './timeline.ts'

export type ServerName = 'database' | 'broker'

/** What a request ends with; it may also never end. */
export type Exchange<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** told at once that nobody listens: it did not arrive */
  | { readonly kind: 'refused' }
  /** the connection broke after the request was sent: it may have arrived */
  | { readonly kind: 'broken' }

/** How a server, or one machine's way to it, misbehaves now. */
export interface Trouble {
  /** nothing arrives: the connection is refused, or swallows everything */
  readonly isAway?: 'refusing' | 'silent'
  /** requests arrive, answers are lost with this probability */
  readonly losesAnswers?: number
  /** latencies are multiplied */
  readonly slowness?: number
}

/** A moment in the life of a request, at which a fault can be made to strike. */
export type Moment = 'leaving' | 'taken'

interface Ambush {
  readonly machine: string
  readonly server: ServerName
  readonly moment: Moment
  readonly strike: () => void
}

/** Requests and answers between machines and servers, each of which takes its time and may get lost. */
export class Network {
  readonly #timeline: Timeline
  readonly #chance: Chance
  readonly #typicalMs: number
  readonly #troubles = new Map<string, Set<Trouble>>()
  readonly #ambushes = new Set<Ambush>()
  readonly #lostBefore = new Map<ServerName, number>()
  #longestMs = Infinity

  constructor(timeline: Timeline, chance: Chance, typicalMs: number) {
    this.#timeline = timeline
    this.#chance = chance
    this.#typicalMs = typicalMs
  }

  /** What left before `time` and is still under way between machines and this server never arrives. */
  lose(server: ServerName, time: number): void {
    this.#lostBefore.set(server, time)
  }

  /** From now on no request and no answer takes much longer than most do. */
  calm(): void {
    this.#longestMs = 2 * this.#typicalMs
  }

  /** Strikes once, at the next such moment. */
  ambush(ambush: Ambush): void {
    this.#ambushes.add(ambush)
  }

  /** Troubles add up; `machine` undefined: for everybody. @returns ends it */
  trouble(server: ServerName, machine: string | undefined, trouble: Trouble): () => void {
    const key = machine === undefined ? server : `${server} from ${machine}`
    const troubles = this.#troubles.get(key) ?? new Set()
    this.#troubles.set(key, troubles.add(trouble))
    return () => void troubles.delete(trouble)
  }

  /**
   * Sends a request from a machine: its effect happens at the server later, at one moment, if it arrives.
   *
   * Between the call and the sending the machine may be stopped: then the request leaves when it goes on, however late.
   *
   * @param effect - what the server does; the answer is what it gives
   */
  send<T>(machine: Machine, server: ServerName, effect: () => Promise<T>): Promise<Exchange<T>> {
    return new Promise((resolve) => {
      const answer = (exchange: Exchange<T>): void => machine.deliver(() => resolve(exchange))
      const arrive = (): void => {
        const away = this.#troublesOf(machine, server).find(({ isAway }) => isAway !== undefined)?.isAway
        if (away === 'silent') return
        if (away === 'refusing') {
          this.#travel(machine, server, () => answer({ kind: 'refused' }))
          return
        }
        void effect().then((value) => {
          this.#pass(machine, server, 'taken')
          this.#answer(machine, server, value, answer)
        })
      }
      machine.clock.schedule(
        () => {
          this.#pass(machine, server, 'leaving')
          // a machine that was stopped here sends it when it goes on
          machine.deliver(() => this.#travel(machine, server, arrive))
        },
        this.#chance.latency(this.#typicalMs / 5),
      )
    })
  }

  #pass(machine: Machine, server: ServerName, moment: Moment): void {
    for (const ambush of this.#ambushes) {
      if (ambush.machine !== machine.name || ambush.server !== server || ambush.moment !== moment) continue
      this.#ambushes.delete(ambush)
      ambush.strike()
    }
  }

  #answer<T>(machine: Machine, server: ServerName, value: T, answer: (exchange: Exchange<T>) => void): void {
    const { losesAnswers = 0 } = this.#troublesOf(machine, server).find((trouble) => trouble.losesAnswers) ?? {}
    const isLost = this.#chance.happens(losesAnswers)
    const isTold = this.#chance.happens(0.5)
    this.#travel(machine, server, () => {
      const isCut = isLost || this.#troublesOf(machine, server).some(({ isAway }) => isAway !== undefined)
      if (!isCut) answer({ kind: 'answered', value })
      else if (isTold) answer({ kind: 'broken' })
    })
  }

  #travel(machine: Machine, server: ServerName, arrive: () => void): void {
    const slowness = this.#troublesOf(machine, server).reduce(
      (product, trouble) => product * (trouble.slowness ?? 1),
      1,
    )
    const leftAt = this.#timeline.now
    const latencyMs = Math.min(this.#longestMs, this.#chance.latency(this.#typicalMs))
    this.#timeline.after(latencyMs * slowness, () => {
      if (leftAt >= (this.#lostBefore.get(server) ?? 0)) arrive()
    })
  }

  #troublesOf(machine: Machine, server: ServerName): readonly Trouble[] {
    return [...(this.#troubles.get(server) ?? []), ...(this.#troubles.get(`${server} from ${machine.name}`) ?? [])]
  }
}
