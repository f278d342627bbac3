import { endedUnderHandler, Turns } from '@outbox/core/adapter'
import { saysSavepointIsAbsent, translated } from './errors.ts'
import { connectionOf, type MysqlTransaction } from './handles.ts'
import type { Purpose } from './privileges.ts'
import { send } from './session.ts'

/**
 * Tells whether a transaction is still open, and the same. A savepoint tells it for sure: it goes with its transaction,
 * however that ends. A deadlock ends it without the driver's knowing, and what follows commits statement by statement.
 */
export interface Watch {
  /** the statement that sets the savepoint; it does nothing where no transaction is open */
  readonly begun: Promise<unknown>
  /** One round trip. @throws {OutboxError} `not-a-transaction` when it is over */
  check(): Promise<void>
  /** Must be called, whatever happened. */
  end(): void
}

interface Savepoint {
  name: string
}

/** Of the watches that have not ended, on each connection, in the order in which they were set. */
const savepoints = new WeakMap<object, Savepoint[]>()
const turns = new Turns<object>()

/** Watches the transaction that is open on `handle`, from the statements on that are sent right after. */
export function watch(handle: MysqlTransaction, purpose: Purpose): Watch {
  const connection = connectionOf(handle)
  const own: Savepoint = { name: newName() }
  const begun = send(handle, `savepoint ${own.name}`)
  const all = savepoints.get(connection) ?? []
  savepoints.set(connection, all)
  all.push(own)
  return {
    begun,
    check: () =>
      turns.take(connection, async () => {
        // calls at once: with one, those go that were set after it, and their watches get another together
        const others = all.slice(all.findIndex(({ name }) => name === own.name)).filter((each) => each !== own)
        const another = newName()
        const [released] = await Promise.allSettled([
          send(handle, `release savepoint ${own.name}`),
          ...(others.length > 0 ? [send(handle, `savepoint ${another}`)] : []),
        ])
        if (released.status === 'rejected') {
          const error = translated(released.reason, purpose)
          throw saysSavepointIsAbsent(error) ? endedUnderHandler({ cause: error }) : error
        }
        for (const each of others) each.name = another
      }),
    end: () => {
      all.splice(all.indexOf(own), 1)
    },
  }
}

function newName(): string {
  return `\`outbox_${crypto.randomUUID()}\``
}
