import { type CallOptions, OutboxError } from '@outbox/core'
import type { Table } from './check.ts'
import { saysColumnIsAbsent, saysTableIsAbsent } from './errors.ts'
import { quoted } from './names.ts'
import type { Privilege } from './privileges.ts'
import type { Session } from './session.ts'

/** What the user of the connection can do with one table. */
export interface Access {
  readonly isAbsent: boolean
  /** so that the catalog shows its columns */
  readonly isReadable: boolean
  /** those that it lacks */
  readonly missing: readonly Privilege[]
}

/**
 * What the user of the connection can do with a table.
 *
 * Statements that touch no row are tried, because the catalog does not tell what roles and patterns of names grant, and
 * hides what the user has no right to.
 *
 * @throws {OutboxError} `unavailable` where nothing can be written at all, as on a replica
 */
export async function accessTo(session: Session, table: Table, options?: CallOptions): Promise<Access> {
  const tried = new Map<Privilege, Outcome>()
  for (const privilege of new Set<Privilege>(['SELECT', ...table.privileges])) {
    tried.set(privilege, await attempt(session, statements[privilege](table), options))
  }
  return {
    isAbsent: tried.get('SELECT') === 'absent',
    isReadable: tried.get('SELECT') === 'fine',
    missing: table.privileges.filter((privilege) => tried.get(privilege) === 'refused'),
  }
}

type Outcome = 'fine' | 'absent' | 'refused'

const statements: Readonly<Record<Privilege, (table: Table) => string>> = {
  SELECT: (table) => `select ${changedOf(table)} from ${table.name} where false`,
  INSERT: (table) => {
    const columns = givenOf(table)
    return `insert into ${table.name} (${columns.join(', ')}) select ${columns.map(() => 'null').join(', ')} from dual where false`
  },
  UPDATE: (table) => `update ${table.name} set ${changedOf(table)} = ${changedOf(table)} where false`,
  DELETE: (table) => `delete from ${table.name} where false`,
}

/** The columns that are not made by the server. */
function givenOf({ layout }: Table): readonly string[] {
  return Object.keys(layout.columns)
    .filter((name) => name !== 'position' && name !== 'payload_bytes')
    .map(quoted)
}

/** The last of these is one that is changed, in every table: grants may be by column. */
function changedOf(table: Table): string {
  return givenOf(table).at(-1) ?? ''
}

/** A column that is not there is found by looking at the catalog. */
async function attempt(session: Session, text: string, options: CallOptions | undefined): Promise<Outcome> {
  try {
    await (text.startsWith('select') ? session.read(text, options) : session.write(text, options))
    return 'fine'
  } catch (error) {
    if (!OutboxError.is(error, 'setup-required')) throw error
    if (saysColumnIsAbsent(error)) return 'fine'
    return saysTableIsAbsent(error) ? 'absent' : 'refused'
  }
}
