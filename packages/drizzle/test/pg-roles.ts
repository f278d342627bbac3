import { readFile } from 'node:fs/promises'
import type { TestDatabase } from '@outbox/services'
import { Client } from 'pg'

/** The kinds of process that the README gives grants for. */
export type Kind = 'producer' | 'relay' | 'operator' | 'consumer'

/** A role with a name of its own, which may log in to one database. */
export interface TestRole extends AsyncDisposable {
  readonly name: string
  readonly url: string
}

/** Makes a role that may do nothing yet. Disposing takes it away with all that it was granted. */
export async function createRole({ url, name: database }: TestDatabase, name: Kind): Promise<TestRole> {
  const role = `${name}_${database}`
  const roleUrl = new URL(url)
  // where the server asks for a password at all
  const password = decodeURIComponent(roleUrl.password).replaceAll("'", "''")
  await run(url, `create role ${role} login ${password && `password '${password}'`}`)
  roleUrl.username = role
  return {
    name: role,
    url: roleUrl.href,
    [Symbol.asyncDispose]: () => run(url, `drop owned by ${role}; drop role ${role}`),
  }
}

/** The grants for one kind of process, one statement each, word for word from the README; `role` in its place. */
export async function grantsFor(kind: Kind, role: string): Promise<readonly string[]> {
  const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
  const blocks = [...readme.matchAll(/```sql\n(.*?)```/gs)].map(([, text]) => text ?? '')
  const block = blocks.find((text) => text.includes(` to outbox_${kind};`))
  if (block === undefined) throw new Error(`The README has no grants for outbox_${kind}.`)
  return block
    .replaceAll(/^--.*\n/gm, '')
    .replaceAll(` to outbox_${kind};`, ` to ${role};`)
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

export async function run(url: string, text: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}
