import type { Names, TableKind } from './names.ts'

export type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE'

/** What a call is for: it decides what a user must be allowed. */
export type Use = 'enqueue' | 'relay' | 'deadLetters' | 'purge' | 'inbox' | 'inboxPurge'

type Needs = Readonly<Partial<Record<TableKind | 'inbox', readonly Privilege[]>>>

/**
 * What a user must be allowed on each table, for each use. The grants in the README say the same; a test makes its
 * users from them.
 */
export const needs: Readonly<Record<Use, Needs>> = Object.freeze({
  enqueue: {
    entries: ['SELECT', 'INSERT'],
    // INSERT … ON DUPLICATE KEY UPDATE takes UPDATE, also where it changes nothing
    meta: ['SELECT', 'INSERT', 'UPDATE'],
    // only where the store assigns the sequences
    sequences: ['SELECT', 'INSERT', 'UPDATE'],
  },
  relay: {
    entries: ['SELECT', 'UPDATE'],
    aggregates: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    relays: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    leases: ['SELECT', 'INSERT', 'UPDATE'],
    meta: ['SELECT', 'INSERT', 'UPDATE'],
  },
  deadLetters: { entries: ['SELECT', 'UPDATE'], aggregates: ['SELECT', 'UPDATE'] },
  // locking a row takes UPDATE or DELETE
  purge: { entries: ['SELECT', 'DELETE'] },
  inbox: { inbox: ['SELECT', 'INSERT', 'UPDATE'] },
  inboxPurge: { inbox: ['SELECT', 'DELETE'] },
})

/** Who says something to the server, and about which tables. */
export interface Purpose {
  readonly names: Names
  readonly use: Use
}
