import { isPgClient, isPgPool, type PgClient, type PgPool } from './drivers.ts'
import type { Statement } from './statement.ts'

/**
 * Statements with a name, prepared: each connection reads and plans them once, which for the long ones costs about as
 * much as to run them.
 */
export interface Prepared {
  /**
   * The driver's result; undefined, and nothing was sent, for a statement without a name.
   *
   * Rejects with `NotPrepared` where the server knew nothing of it, and ran nothing; none is prepared after that.
   */
  run(statement: Statement): Promise<unknown> | undefined
}

/** A pooler passed the connection's statements to another server, or somebody said DEALLOCATE, or changed a column. */
export class NotPrepared extends Error {}

/**
 * Undefined for any other driver than node-postgres. PGlite sends nothing by name. postgres-js prepares, but a plan is to
 * be made anew on the connection that has it, and a connection that it reserved, and lost, it goes on giving out.
 */
export function preparedThrough(client: unknown): Prepared | undefined {
  const runNamed = namedThrough(client)
  if (!runNamed) return undefined
  // two outboxes may share a pool
  const outbox = Math.random().toString(36).slice(2)
  let isRefused = false
  return {
    run({ name, text, values }) {
      if (name === undefined || isRefused) return undefined
      return runNamed({ name: `outbox_${outbox}_${name}`, text, values }).catch((error: unknown) => {
        if (!isRefusal(error)) throw error
        isRefused = true
        throw new NotPrepared('The server does not know the statement.', { cause: error })
      })
    },
  }
}

/** What PostgreSQL says before it runs anything. */
const refusals: readonly unknown[] = [
  '26000', // invalid_sql_statement_name
  '42P05', // duplicate_prepared_statement
  '0A000', // feature_not_supported: cached plan must not change result type
]

function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'code' in error && refusals.includes(error.code)
}

/**
 * A connection plans anew after a statement that took longer: its plan may be that of a table that was empty.
 * PostgreSQL itself does so after the next ANALYZE, and a relay would crawl until then.
 */
const slowMs = 100
/** A connection whose statements are slow soon after that again is far away, or busy: new plans make it no faster. */
const plansLastMs = 30_000

interface NamedStatement extends Statement {
  readonly name: string
}

type RunNamed = (statement: NamedStatement) => Promise<unknown>

function namedThrough(client: unknown): RunNamed | undefined {
  if (isPgPool(client)) return (statement) => onPool(client, statement)
  if (isPgClient(client)) return (statement) => onClient(client, statement)
  return undefined
}

/** As the pool's own `query`, but with the connection at hand. */
async function onPool(pool: PgPool, statement: NamedStatement): Promise<unknown> {
  const client = await pool.connect()
  // the statement's promise tells it too
  const lost = (): void => undefined
  client.on('error', lost)
  let failure: Error | undefined
  try {
    return await onClient(client, statement)
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    client.off('error', lost)
    client.release(failure)
  }
}

/** When the plans of a connection were last discarded. */
const discardedAt = new WeakMap<PgClient, number>()

async function onClient(client: PgClient, statement: NamedStatement): Promise<unknown> {
  const began = performance.now()
  const result = await client.query(statement)
  const ended = performance.now()
  const isSlow = ended - began > slowMs
  if (isSlow && ended - (discardedAt.get(client) ?? -Infinity) > plansLastMs) {
    discardedAt.set(client, ended)
    // a connection that is lost here has lost the answer: to the caller it is as if it had been lost a moment before
    await client.query('discard plans')
  }
  return result
}
