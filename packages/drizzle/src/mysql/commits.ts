import { Commits } from '../shared/commits.ts'
import { by } from './indexes.ts'
import { isOneOf, uuidLiteral } from './literals.ts'
import type { Names } from './names.ts'
import { uuidIn } from './rows.ts'
import type { Session } from './session.ts'

/** one that was rolled back cannot be told from an open one, and is looked for as long */
const patienceMs = 5_000

/** Commits of this process, known by one entry of each transaction: it is there once the transaction has committed. */
export function commitsOf(session: Session, names: Names): Commits {
  return new Commits({
    patienceMs,
    tellsOthers: false,
    async ask(expected) {
      // `state` is in no index: where an index has all that is asked for, MySQL may read it from end to end
      const rows = await session.read(
        `select hex(id) as id, state from ${names.entries} ${by(names, 'entries_id')}
        where ${isOneOf(
          'id',
          expected.map(({ name }) => uuidLiteral(name)),
        )}`,
      )
      const committed = rows.map((row) => uuidIn(row, 'id'))
      return { settled: committed, committed }
    },
  })
}
