/**
 * The headers of one message, as both clients take them.
 *
 * The clients make their headers with a function of their own, which cannot be had from a connection. All that
 * `publish` asks of them is `encode()`; the other methods are there for what wraps a connection, such as tracing. See
 * docs/decisions/0004-nats-without-its-client.md.
 *
 * Values must be printable ASCII already: names and values are written as they are.
 */
export class MessageHeaders {
  readonly #values = new Map<string, string>()
  #block: Uint8Array | undefined

  get(name: string): string {
    return this.#values.get(name) ?? ''
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  set(name: string, value: string): void {
    this.#values.set(name, value)
    this.#block = undefined
  }

  append(name: string, value: string): void {
    this.set(name, value)
  }

  keys(): string[] {
    return [...this.#values.keys()]
  }

  values(name: string): string[] {
    const value = this.#values.get(name)
    return value === undefined ? [] : [value]
  }

  /** The header block of the protocol. */
  encode(): Uint8Array {
    this.#block ??= this.#encode()
    return this.#block
  }

  #encode(): Uint8Array {
    let block = 'NATS/1.0\r\n'
    for (const [name, value] of this.#values) block += `${name}: ${value}\r\n`
    return Buffer.from(`${block}\r\n`)
  }
}
