import { quoted } from './names.ts'

/** Ends the listening; the connection that carried it goes back to where it came from. */
export type StopListening = () => Promise<void>

export interface ListenEvents {
  readonly onNotification: () => void
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
  if (isPool(client)) {
    // the listener keeps one connection for itself: it must not be the last one
    if (client.options.max === 1) return undefined
    return (channel, events) => listenOnPool(client, channel, events)
  }
  if (isPgClient(client)) return (channel, events) => listenOnClient(client, channel, events, () => undefined)
  return undefined
}

/** node-postgres and postgres-js send a statement without parameters as one simple query; see `OpenCheck`. */
export function sendsSimpleQueries(client: unknown): boolean {
  return isPostgresJs(client) || isPool(client) || isPgClient(client)
}

/** Postgres.js listens over a connection of its own, and takes it up again itself after every loss. */
async function listenOnPostgresJs(client: PostgresJs, channel: string, events: ListenEvents): Promise<StopListening> {
  // `onlisten` comes at every (re)connection: something may have been said in between
  const { unlisten } = await client.listen(channel, events.onNotification, events.onNotification)
  return async () => {
    await unlisten()
  }
}

async function listenOnPool(pool: Pool, channel: string, events: ListenEvents): Promise<StopListening> {
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
    if (typeof message === 'object' && message !== null && 'channel' in message && message.channel === channel) {
      onNotification()
    }
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

interface PostgresJs {
  listen(
    channel: string,
    onNotify: () => void,
    onListen: () => void,
  ): Promise<{ readonly unlisten: () => Promise<unknown> }>
}

interface Pglite {
  listen(channel: string, callback: () => void): Promise<() => Promise<void>>
}

interface PgClient {
  query(text: string): Promise<unknown>
  on(event: string, listener: (argument: unknown) => void): unknown
  off(event: string, listener: (argument: unknown) => void): unknown
}

interface Pool {
  readonly options: { readonly max?: unknown }
  connect(): Promise<PgClient & { release(error?: Error): void }>
}

function isPostgresJs(client: unknown): client is PostgresJs {
  return typeof client === 'function' && 'unsafe' in client && hasMethods(client, 'listen', 'unsafe')
}

function isPglite(client: unknown): client is Pglite {
  return hasMethods(client, 'listen', 'query', 'execProtocol')
}

function isPool(client: unknown): client is Pool {
  return (
    hasMethods(client, 'connect', 'query', 'on') &&
    'totalCount' in client &&
    'options' in client &&
    typeof client.options === 'object' &&
    client.options !== null
  )
}

function isPgClient(client: unknown): client is PgClient {
  return hasMethods(client, 'connect', 'query', 'on', 'off', 'escapeLiteral')
}

function hasMethods(value: unknown, ...names: readonly string[]): value is object {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}
