export const defaultPrefix: string = 'outbox_'

/** What makes the tables of one place, as people write it. */
export interface SetUp {
  /** `setup(db, { schema: 'messaging' })` */
  readonly calls: Readonly<Record<'setup' | 'setupSql' | 'setupInbox' | 'setupInboxSql', string>>
  /** the tables to be exported to drizzle-kit */
  readonly exported: Readonly<Record<'outbox' | 'inbox', string>>
}

/** @param more - options of `setup` besides the place */
export function setUpOf(
  { schema, prefix }: { readonly schema?: string | undefined; readonly prefix: string },
  more: Readonly<Record<string, string>> = {},
): SetUp {
  const place = { schema, prefix: prefix === defaultPrefix ? undefined : prefix }
  const placed = objectOf(place)
  const all = objectOf({ ...place, ...more })
  return {
    calls: {
      setup: call('setup', 'db', all),
      setupSql: call('setupSql', all),
      setupInbox: call('setupInbox', 'db', placed),
      setupInboxSql: call('setupInboxSql', placed),
    },
    exported: {
      outbox: placed === undefined ? 'the tables' : `the tables that ${call('outboxTables', placed)} gives`,
      inbox: placed === undefined ? 'outboxInbox' : call('inboxTable', placed),
    },
  }
}

/** What is told where tables have the names of the outbox's, or the inbox's, and lack their columns. */
export interface Taken {
  readonly sentence: string
  readonly remedy: string
}

/**
 * @param tables - those that lack columns, as people write them
 * @param ways - the options that say where other tables are
 */
export function takenBy(title: 'outbox' | 'inbox', tables: readonly string[], ways: string): Taken {
  const [are, they] = tables.length === 1 ? ['is', 'it lacks'] : ['are', 'they lack']
  return {
    sentence: `${tables.join(', ')} ${are} there, and not of the ${title}, or of an older version of it: ${they} columns.`,
    remedy: `Setting up makes tables, and alters none that is there. Where one is not the ${title}'s, give the ${title} another ${ways}, everywhere the same, as in { prefix: 'events_' }; where one is of an older version, migrate with drizzle-kit, or add by hand what is missing.`,
  }
}

function call(name: string, ...given: readonly (string | undefined)[]): string {
  return `${name}(${given.filter((argument) => argument !== undefined).join(', ')})`
}

/** Nothing where every option is left to its default. */
function objectOf(options: Readonly<Record<string, string | undefined>>): string | undefined {
  const written = Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: '${value.replaceAll("'", "\\'")}'`],
  )
  return written.length === 0 ? undefined : `{ ${written.join(', ')} }`
}
