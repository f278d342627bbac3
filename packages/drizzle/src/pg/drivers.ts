/*
 * What the outbox uses of the drivers' clients beneath a drizzle database, told apart by what they can: applications
 * bring their own copies of the drivers.
 */

export interface PostgresJs {
  readonly options?: { readonly transform?: { readonly column?: { readonly from?: unknown } } }
  listen(
    channel: string,
    onNotify: (payload: string) => void,
    onListen: () => void,
  ): Promise<{ readonly unlisten: () => Promise<unknown> }>
}

export interface Pglite {
  listen(channel: string, callback: (payload: string) => void): Promise<() => Promise<void>>
}

/** A connection of node-postgres. */
export interface PgClient {
  query(
    query: string | { readonly name: string; readonly text: string; readonly values: readonly (string | null)[] },
  ): Promise<unknown>
  on(event: string, listener: (argument: unknown) => void): unknown
  off(event: string, listener: (argument: unknown) => void): unknown
}

export interface PooledPgClient extends PgClient {
  release(error?: Error): void
}

export interface PgPool {
  readonly options: { readonly max?: unknown }
  connect(): Promise<PooledPgClient>
}

export function isPostgresJs(client: unknown): client is PostgresJs {
  return typeof client === 'function' && 'unsafe' in client && hasMethods(client, 'listen', 'unsafe')
}

export function isPglite(client: unknown): client is Pglite {
  return hasMethods(client, 'listen', 'query', 'execProtocol')
}

export function isPgPool(client: unknown): client is PgPool {
  return (
    hasMethods(client, 'connect', 'query', 'on') &&
    'totalCount' in client &&
    'options' in client &&
    typeof client.options === 'object' &&
    client.options !== null
  )
}

export function isPgClient(client: unknown): client is PgClient {
  return hasMethods(client, 'connect', 'query', 'on', 'off', 'escapeLiteral')
}

/** One connection, on which a transaction of the application's may be open around what the outbox sends. */
export function isLoneClient(client: unknown): boolean {
  return isPgClient(client) && !isPgPool(client)
}

/** postgres-js renames what all statements answer, if it was told to. */
export function renamesColumns(client: unknown): boolean {
  return isPostgresJs(client) && typeof client.options?.transform?.column?.from === 'function'
}

function hasMethods(value: unknown, ...names: readonly string[]): value is object {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}
