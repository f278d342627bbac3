import type { RelayEventName, RelayEvents, RelayListeners } from '../src/index.ts'

type Told = { readonly [Name in RelayEventName]: RelayEvents[Name][] }

/** Everything that a relay tells, in the order it tells it. */
export class Journal {
  /** the names of all events, in order */
  readonly names: RelayEventName[] = []
  readonly #told: Told = {
    published: [],
    retry: [],
    dead: [],
    lateSequence: [],
    destinationDown: [],
    destinationUp: [],
    storeDown: [],
    storeUp: [],
    partitions: [],
    leasesLost: [],
    settleRefused: [],
    warning: [],
    error: [],
  }

  readonly on: RelayListeners = {
    published: this.#keep('published'),
    retry: this.#keep('retry'),
    dead: this.#keep('dead'),
    lateSequence: this.#keep('lateSequence'),
    destinationDown: this.#keep('destinationDown'),
    destinationUp: this.#keep('destinationUp'),
    storeDown: this.#keep('storeDown'),
    storeUp: this.#keep('storeUp'),
    partitions: this.#keep('partitions'),
    leasesLost: this.#keep('leasesLost'),
    settleRefused: this.#keep('settleRefused'),
    warning: this.#keep('warning'),
    error: this.#keep('error'),
  }

  of<Name extends RelayEventName>(name: Name): readonly RelayEvents[Name][] {
    return this.#told[name]
  }

  count(name: RelayEventName): number {
    return this.#told[name].length
  }

  #keep<Name extends RelayEventName>(name: Name): (event: RelayEvents[Name]) => void {
    return (event) => {
      this.names.push(name)
      this.#told[name].push(event)
    }
  }
}
