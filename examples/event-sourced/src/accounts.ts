import {
  type Awaitable,
  type Enqueue,
  type EventEnvelope,
  entryFromEnvelope,
  OutboxError,
  uuidv7Generator,
} from '@outbox/core'
import type { PgTransaction } from '@outbox/drizzle/pg'
import { asc, eq } from 'drizzle-orm'
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import { type Account, type AccountChange, apply, unopened } from './account.ts'
import { accountEvents } from './tables.ts'

export type Decide = (account: Account) => Awaitable<readonly AccountChange[]>
type Recorded = typeof accountEvents.$inferSelect

const maxAttempts = 5
const newId = uuidv7Generator()

export interface AccountsOptions {
  readonly db: NodePgDatabase
  readonly outbox: Enqueue<PgTransaction>
  /** told each time that another writer was faster, and had the version first */
  readonly onConflict: (version: number) => void
}

/** Another writer has recorded this version. */
class VersionTaken extends Error {
  readonly version: number

  constructor(version: number) {
    super(`version ${version} is taken`)
    this.version = version
  }
}

/** Event-sourced accounts. Their versions are the sequences of their events in the outbox. */
export class Accounts {
  readonly #db: NodePgDatabase
  readonly #outbox: Enqueue<PgTransaction>
  readonly #onConflict: AccountsOptions['onConflict']

  constructor({ db, outbox, onConflict }: AccountsOptions) {
    this.#db = db
    this.#outbox = outbox
    this.#onConflict = onConflict
  }

  /**
   * Lets `decide` say what is to happen to the account as it stands, and records that.
   *
   * Any number of writers may run at once, without a lock. Where two met, the second one loads the account again and
   * decides again: so `decide` may be called several times. If it decides for nothing, nothing is recorded.
   *
   * @throws whatever `decide` throws, with nothing recorded; {VersionTaken} after five attempts
   */
  async change(accountId: string, decide: Decide): Promise<Account> {
    for (let attempt = 1; ; attempt++) {
      const account = await this.load(accountId)
      const changes = await decide(account)
      if (changes.length === 0) return account
      try {
        await this.#append(accountId, account.version, changes)
        return changes.reduce(apply, account)
      } catch (error) {
        const isTaken = error instanceof VersionTaken
        if (attempt === maxAttempts || !(isTaken || OutboxError.is(error, 'busy'))) throw error
        if (isTaken) this.#onConflict(error.version)
      }
    }
  }

  async load(accountId: string): Promise<Account> {
    const recorded = await this.#db
      .select()
      .from(accountEvents)
      .where(eq(accountEvents.accountId, accountId))
      .orderBy(asc(accountEvents.version))
    return recorded.reduce(apply, unopened)
  }

  /**
   * Records changes as the versions that follow `version`, and their events with them.
   *
   * The log decides who was first, by its primary key: it keeps every version, and the outbox only until it is purged.
   */
  async #append(accountId: string, version: number, changes: readonly AccountChange[]): Promise<void> {
    const recordedAt = new Date()
    const recorded = changes.map((change, index) => ({
      ...change,
      accountId,
      version: version + index + 1,
      eventId: newId(),
      recordedAt,
    }))
    await this.#db.transaction(async (tx) => {
      const written = await tx
        .insert(accountEvents)
        .values(recorded)
        .onConflictDoNothing()
        .returning({ version: accountEvents.version })
      if (written.length < recorded.length) throw new VersionTaken(version + 1)
      await this.#outbox.enqueue(tx, recorded.map(envelopeOf).map(entryFromEnvelope))
    })
  }
}

function envelopeOf({ accountId, version, eventId, type, cents, recordedAt }: Recorded): EventEnvelope {
  return {
    eventId,
    eventType: type,
    aggregateType: 'account',
    aggregateId: accountId,
    sequence: version,
    occurredAt: recordedAt,
    payload: { cents },
  }
}
