/** What a figure is worth: two figures compare only as far as these agree. */
export interface Guarantee {
  readonly order: 'per aggregate' | 'none' | 'of the whole table'
  /** whether a worker that was paused past its turn can still change what another has taken over */
  readonly isFenced: boolean
  /** whether what was committed, and what was settled, survives a crash of the machine */
  readonly isDurable: boolean
  /** what it does not promise though one may think so */
  readonly but?: string
}

/** What one run is about; travels to the contestant's process as JSON. */
export interface Setting {
  /** of the database, a file for SQLite */
  readonly url: string
  readonly brokerUrl: string
  /** 0 where none are counted: there is no rate then */
  readonly rows: number
  readonly aggregates: number
  readonly payloadBytes: number
  /** where something is enqueued: entries in one transaction, and transactions at a time */
  readonly perTransaction?: number
  readonly clients?: number
  /** where something goes on for a while: events per second, and how long */
  readonly perSecond?: number
  readonly seconds?: number
  /** where `rows` are a part of what is pending: all of it; or the most that producers may be ahead of a relay */
  readonly backlog?: number
  /** published rows that stand in the table as well */
  readonly kept?: number
  /** the part of the backlog that is one aggregate's; `rows` are the others' */
  readonly hotShare?: number
  /** relays that work together, each in a process of its own */
  readonly relays?: number
  /** whether a transaction stays open that began before */
  readonly hasOldSnapshot?: boolean
}

/** One way to do the scenario's work. It lives in a process of its own, from `open` on. */
export interface Contestant {
  readonly title: string
  readonly role: 'ours' | 'peer' | 'ceiling'
  readonly guarantee: Guarantee
  /** batch sizes, concurrency, and what else was set for throughput */
  readonly tuning: string
  /** the part of the scenario's rows that it gets, where it would take minutes for all; default 1 */
  readonly share?: number
  /** Makes the tables and the backlog. Runs once a scenario; each round begins with a copy. */
  prepare?(setting: Setting): Promise<void>
  open(setting: Setting): Promise<Work>
}

/** What is timed. */
export interface Work extends AsyncDisposable {
  /** Resolves when all is done and recorded. What it returns is reported beside time and CPU, by name. */
  run(): Promise<Figures | undefined>
  /** what is left to do: anything but 0 fails the run */
  left(): Promise<number>
}

export type Figures = Readonly<Record<string, number>>
