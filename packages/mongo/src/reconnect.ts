import type { MongoDatabase } from './driver.ts'

/**
 * Lets the driver connect anew where its first connection has failed. It leaves the client's topology closed then, and
 * refuses every later call, whatever has become of the server: only `connect` makes another one. What was refused is
 * not sent again; a later call finds the client connecting, or connected.
 *
 * A client that its owner has closed, or is closing, has no topology any more, and stays closed.
 */
export function reconnectAfter(error: unknown, db: MongoDatabase): void {
  if (!(error instanceof Error) || error.name !== 'MongoTopologyClosedError') return
  const client: unknown = Reflect.get(db, 'client')
  if (!isClient(client) || client.topology?.isDestroyed?.() !== true) return
  client.connect().catch(() => undefined) // a later call meets the same server, and reports what is wrong with it
}

/** The driver's own client; `topology` is none of its documented properties, and may go. */
interface Client {
  readonly topology?: { isDestroyed?(): boolean }
  connect(): Promise<unknown>
}

function isClient(value: unknown): value is Client {
  return typeof value === 'object' && value !== null && 'connect' in value && typeof value.connect === 'function'
}
