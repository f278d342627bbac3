import { isPgClient, isPglite, isPgPool, isPostgresJs, type PgClient, type PgPool, type PostgresJs } from './drivers.ts'
import { quoted } from './names.ts'

/** Ends the listening; the connection that carried it goes back to where it came from. */
export type StopListening = () => Promise<void>

export interface ListenEvents {
  readonly onNotification: (payload: string) => void
  /** the connection is gone, once per `Listen` call; what was said meanwhile is lost */
  readonly onLost: () => void
}

/** Listens on a channel, over a connection of its own where the driver has more than one. Rejects if it cannot. */
export type Listen = (channel: string, events: ListenEvents) => Promise<StopListening>

/**
 * How to listen through the driver's client beneath a drizzle database, or undefined where that cannot be: a pool of
 * one connection, or a driver that the outbox does not know.
 */
export function listenThrough(client: unknown): Listen | undefined {
  if (isPostgresJs(client)) return (channel, events) => listenOnPostgresJs(client, channel, events)
  if (isPglite(client)) return (channel, events) => client.listen(channel, events.onNotification)
  if (isPgPool(client)) {
    // the listener keeps one connection for itself: it must not be the last one
    if (client.options.max === 1) return undefined
    return (channel, events) => listenOnPool(client, channel, events)
  }
  if (isPgClient(client)) return (channel, events) => listenOnClient(client, channel, events, () => undefined)
  return undefined
}

/** node-postgres and postgres-js send a statement without parameters as one simple query; see `OpenCheck`. */
export function sendsSimpleQueries(client: unknown): boolean {
  return isPostgresJs(client) || isPgPool(client) || isPgClient(client)
}

/**
 * Postgres.js listens over a connection of its own, and takes it up again itself after every loss: also for who failed
 * at first, and for who ended after a loss. These are told nothing.
 */
async function listenOnPostgresJs(client: PostgresJs, channel: string, events: ListenEvents): Promise<StopListening> {
  let isOver = false
  const hear = (payload: string): void => {
    if (!isOver) events.onNotification(payload)
  }
  try {
    // `onlisten` comes at every (re)connection: something may have been said in between
    const { unlisten } = await client.listen(channel, hear, () => hear(''))
    return async () => {
      isOver = true
      try {
        await unlisten()
      } catch {
        // it forgets the channel first: whatever connection it takes up again does not listen to this
      }
    }
  } catch (error) {
    isOver = true
    throw error
  }
}

async function listenOnPool(pool: PgPool, channel: string, events: ListenEvents): Promise<StopListening> {
  const client = await pool.connect()
  return listenOnClient(client, channel, events, (error) => client.release(error))
}

async function listenOnClient(
  client: PgClient,
  channel: string,
  { onNotification, onLost }: ListenEvents,
  giveBack: (error?: Error) => void,
): Promise<StopListening> {
  let isOver = false
  const over = (error?: Error): void => {
    isOver = true
    client.off('notification', heard)
    client.off('error', lost)
    client.off('end', lost)
    giveBack(error)
  }
  const heard = (message: unknown): void => {
    if (typeof message !== 'object' || message === null || !('channel' in message) || message.channel !== channel)
      return
    onNotification('payload' in message && typeof message.payload === 'string' ? message.payload : '')
  }
  const lost = (): void => {
    if (isOver) return
    over(new Error('The connection that listened is gone.'))
    onLost()
  }
  client.on('notification', heard)
  client.on('error', lost)
  client.on('end', lost)
  try {
    await client.query(`listen ${quoted(channel)}`)
  } catch (error) {
    if (!isOver) over(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
  return async () => {
    if (isOver) return
    try {
      await client.query(`unlisten ${quoted(channel)}`)
    } catch (error) {
      // a connection that cannot even do that is not one to give back to a pool
      if (!isOver) over(error instanceof Error ? error : new Error(String(error)))
      return
    }
    if (!isOver) over()
  }
}
