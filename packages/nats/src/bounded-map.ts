/** A map that forgets what was used least recently once it holds more than `limit` keys. */
export class BoundedMap<Key, Value> {
  readonly #limit: number
  readonly #values = new Map<Key, Value>()

  constructor(limit: number) {
    this.#limit = limit
  }

  get(key: Key): Value | undefined {
    const value = this.#values.get(key)
    if (value !== undefined) {
      this.#values.delete(key)
      this.#values.set(key, value)
    }
    return value
  }

  set(key: Key, value: Value): void {
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size <= this.#limit) return
    const oldest = this.#values.keys().next()
    if (!oldest.done) this.#values.delete(oldest.value)
  }

  /** All that is remembered, what was used least recently first. */
  get values(): readonly Value[] {
    return [...this.#values.values()]
  }

  delete(key: Key): void {
    this.#values.delete(key)
  }
}
