import type { MongoDatabase } from './driver.ts'

/** Why clients could not be connected anew, the last time. */
const failures = new WeakMap<Client, unknown>()

/**
 * Lets the driver connect anew where its first connection has failed. It leaves the client's topology closed then, and
 * refuses every later call, whatever has become of the server: only `connect` makes another one. What was refused is
 * not sent again; a later call finds the client connecting, or connected.
 *
 * A client that its owner has closed, or is closing, has no topology any more, and stays closed; so does one that is
 * closed while it connects, though the driver does not see that before it has looked up the names of its servers.
 *
 * @returns what is to be told: where an attempt to connect anew has failed since, why; else the error itself
 */
export function reconnectAfter(error: unknown, db: MongoDatabase): unknown {
  if (!(error instanceof Error) || error.name !== 'MongoTopologyClosedError') return error
  const client: unknown = Reflect.get(db, 'client')
  if (!isClient(client) || client.topology?.isDestroyed?.() !== true) return error
  const told = failures.get(client) ?? error
  reconnect(client).then(
    () => failures.delete(client),
    (failure: unknown) => failures.set(client, failure),
  )
  return told
}

async function reconnect(client: Client): Promise<void> {
  const wasClosed = isClosed(client) // and opened again by its owner: the driver never takes that back
  await client.connect()
  if (!wasClosed && isClosed(client)) await client.close()
}

/** The driver's own client; `topology` and `s` are none of its documented properties, and may go. */
interface Client {
  readonly topology?: { isDestroyed?(): boolean }
  readonly s?: { readonly hasBeenClosed?: boolean }
  connect(): Promise<unknown>
  close(): Promise<unknown>
}

function isClient(value: unknown): value is Client {
  return typeof value === 'object' && value !== null && 'connect' in value && 'close' in value
}

function isClosed({ s }: Client): boolean {
  return s?.hasBeenClosed === true
}
