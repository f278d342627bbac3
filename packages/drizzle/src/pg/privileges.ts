import type { LogKind, Names, TableKind } from './names.ts'

export type Privilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE'

/** What a call is for: it decides what a role must be allowed. */
export type Use = 'enqueue' | 'relay' | 'deadLetters' | 'purge' | 'inbox' | 'inboxPurge' | LogUse

type LogUse = 'logEnqueue' | 'logRelay' | 'logPurge'

type Needs = Readonly<Partial<Record<TableKind | LogKind | 'inbox', readonly Privilege[]>>>

/**
 * What a role must be allowed on each table, for each use. The grants in the README say the same, where they can by
 * column; a test makes its roles from them.
 */
export const needs: Readonly<Record<Use, Needs>> = Object.freeze({
  enqueue: {
    entries: ['SELECT', 'INSERT'],
    meta: ['SELECT', 'INSERT'],
    // only where the store assigns the sequences
    sequences: ['SELECT', 'INSERT', 'UPDATE'],
  },
  relay: {
    entries: ['SELECT', 'UPDATE'],
    aggregates: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    relays: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    leases: ['SELECT', 'INSERT', 'UPDATE'],
    meta: ['SELECT', 'INSERT'],
  },
  deadLetters: { entries: ['SELECT', 'UPDATE'], aggregates: ['SELECT', 'UPDATE'] },
  // locking a row takes UPDATE
  purge: { entries: ['SELECT', 'UPDATE', 'DELETE'] },
  inbox: { inbox: ['SELECT', 'INSERT'] },
  logEnqueue: {
    entries: ['SELECT', 'INSERT'],
    log: ['SELECT', 'INSERT'],
    log_slot: ['SELECT'],
    meta: ['SELECT', 'INSERT'],
    sequences: ['SELECT', 'INSERT', 'UPDATE'],
  },
  logRelay: {
    entries: ['SELECT', 'INSERT', 'UPDATE'],
    aggregates: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    relays: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    leases: ['SELECT', 'INSERT', 'UPDATE'],
    log: ['SELECT'],
    log_cursors: ['SELECT', 'INSERT', 'UPDATE'],
    meta: ['SELECT', 'INSERT'],
  },
  logPurge: {
    entries: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    leases: ['SELECT', 'UPDATE'],
    log: ['SELECT', 'TRUNCATE'],
    log_cursors: ['SELECT', 'UPDATE'],
    log_leaves: ['SELECT', 'UPDATE'],
    log_slot: ['SELECT', 'UPDATE'],
  },
  inboxPurge: { inbox: ['SELECT', 'UPDATE', 'DELETE'] },
})

/** Who says something to PostgreSQL, and about which tables. */
export interface Purpose {
  readonly names: Names
  readonly use: Use
}
