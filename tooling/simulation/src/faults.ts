import type { ServerName, Trouble } from './network.ts'
import type { Ambushed, Fault } from './plan.ts'
import type { World } from './world.ts'

/** Makes things go wrong as planned, writes down that they do, and mends them in the end. */
export class Faults {
  readonly #world: World
  readonly #endings: (() => void)[] = []
  #operating: Promise<void> = Promise.resolve()

  constructor(world: World) {
    this.#world = world
  }

  begin(fault: Fault): void {
    const { fleet, broker, database, databaseClock } = this.#world
    switch (fault.kind) {
      case 'kill':
        this.#strike(fault.relay, fault.when, () => fleet.kill(fault.relay, fault.restartAfterMs))
        break
      case 'pause':
        this.#strike(fault.relay, fault.when, () => fleet.pause(fault.relay, fault.forMs))
        break
      case 'restart':
        fleet.restart(fault.relay, fault.afterMs)
        break
      case 'away':
        this.#trouble(fault, { isAway: fault.how }, fault.how === 'silent' ? 'silent' : 'refusing connections')
        break
      case 'slow':
        this.#trouble(fault, { slowness: fault.slowness }, `${fault.slowness} times slower`)
        break
      case 'lostAnswers':
        this.#trouble(fault, { losesAnswers: fault.probability }, 'losing answers')
        break
      case 'busyDatabase':
        this.#during(fault.forMs, 'statements meet locks', (isOn) => {
          database.busyProbability = isOn ? fault.probability : 0
        })
        break
      case 'refusals':
        this.#during(fault.forMs, 'the broker refuses entries', (isOn) => {
          broker.refusalProbability = isOn ? fault.probability : 0
        })
        break
      case 'fullBroker':
        this.#during(fault.forMs, 'the broker is full', (isOn) => {
          broker.isFull = isOn
        })
        break
      case 'forgottenDeduplication':
        this.#tell('the broker forgets what it knew for deduplication')
        broker.forgetDeduplication()
        break
      case 'lostTail':
        this.#tell(`the broker loses its last ${fault.count} messages`)
        broker.loseTail(fault.count)
        break
      case 'databaseClock':
        this.#tell(`the database's clock jumps by ${fault.byMs} ms`)
        databaseClock.aheadMs += fault.byMs
        break
      case 'forgottenEpochs':
        this.#tell(`the broker has seen ${fault.count} owners that the database has forgotten`)
        broker.raiseFences(fault.count)
        break
      case 'requeue':
      case 'discard':
        this.#operate(fault.kind)
        break
      case 'hastyRequeue':
        this.#trouble({ ...fault, server: 'database' }, { losesAnswers: 0.5 }, 'losing answers')
        this.#requeueHastily(fault.relay, this.#world.timeline.now + fault.forMs)
        break
      case 'purge':
        void this.#world.outbox.purge({ olderThanMs: 1_000, limit: 1_000 })
    }
  }

  /** The world is well from here on; what was killed or stopped comes back by itself. */
  end(): void {
    for (const end of this.#endings) end()
    this.#tell('the world is well from here on')
  }

  #strike(relay: number, when: Ambushed, act: () => void): void {
    const { fleet, network } = this.#world
    const machine = fleet.nameOf(relay)
    if (when && machine !== undefined) network.ambush({ ...when, machine, strike: act })
    else act()
  }

  #trouble(
    fault: { readonly server: ServerName; readonly relay?: number | undefined; readonly forMs: number },
    trouble: Trouble,
    text: string,
  ): void {
    const { network, fleet, timeline } = this.#world
    const whom = fault.relay === undefined ? undefined : fleet.nameOf(fault.relay)
    this.#tell(`the ${fault.server} is ${text} for ${whom ?? 'everybody'}, ${fault.forMs} ms`)
    const end = network.trouble(fault.server, whom, trouble)
    this.#endings.push(end)
    timeline.after(fault.forMs, end)
  }

  #during(forMs: number, text: string, turn: (isOn: boolean) => void): void {
    this.#tell(`${text}, ${forMs} ms`)
    turn(true)
    const end = (): void => turn(false)
    this.#endings.push(end)
    this.#world.timeline.after(forMs, end)
  }

  #requeueHastily(relay: number, until: number): void {
    const { fleet, network, timeline } = this.#world
    const strike = (): void => {
      if (timeline.now > until) return
      this.#operate('requeue')
      timeline.after(1, () => this.#requeueHastily(relay, until))
    }
    const machine = fleet.nameOf(relay)
    if (machine !== undefined) network.ambush({ server: 'database', moment: 'taken', machine, strike })
  }

  /** One operator at a time, or the ledger would not know who came first. */
  #operate(what: 'requeue' | 'discard'): void {
    this.#operating = this.#operating.then(() => this.#decideAll(what))
  }

  async #decideAll(what: 'requeue' | 'discard'): Promise<void> {
    const { outbox, history, ledger } = this.#world
    const letters = await outbox.deadLetters.list({ limit: 5 })
    const ids = letters.map(({ entry }) => entry.id)
    for (const id of ids) {
      history.record({ kind: what === 'requeue' ? 'requeued' : 'discarded', id })
      ledger[what](id)
    }
    await outbox.deadLetters[what](ids)
  }

  #tell(text: string): void {
    this.#world.history.record({ kind: 'fault', text })
  }
}
