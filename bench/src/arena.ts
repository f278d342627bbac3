/** A server that contestants meet on, and the state that each of them begins with. */
export interface Arena extends AsyncDisposable {
  /** the server's version, and the settings that decide what a commit is worth */
  readonly description: string
  /** A database as `prepare` leaves it; disposing drops it. `prepare` runs once for a name where copies are cheap. */
  place(name: string, prepare: (url: string) => Promise<void>): Promise<Place>
  /** Begins to count what the server does for a place. */
  meter(place: Place): Promise<Meter>
}

export interface Place extends AsyncDisposable {
  readonly url: string
}

export interface Meter {
  /** Milliseconds of CPU and bytes of WAL since the beginning, as far as they can be known. */
  read(): Promise<ServerFigures>
  /** Row versions left for a vacuum since the beginning; to be asked when the contestant's connections are closed. */
  deadVersions(): Promise<number | undefined>
}

export interface ServerFigures {
  readonly cpuMs?: number | undefined
  readonly walBytes?: number | undefined
}
