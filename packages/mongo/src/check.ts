import type { CallOptions } from '@outbox/core'
import type { Database } from './database.ts'
import { codeOf, replicaSet, setupRequired, standaloneRemedy } from './errors.ts'
import { type IndexLayout, indexes } from './layout.ts'
import { metaValue } from './meta.ts'
import type { CollectionKind, Names } from './names.ts'
import { type Document, isDocument, numberIn } from './values.ts'

/** One outbox, or one inbox, as a check sees it. */
export interface Subject {
  readonly title: 'outbox' | 'inbox'
  readonly names: Names
  readonly kinds: readonly CollectionKind[]
  readonly versionKey: 'version' | 'inbox-version'
  readonly version: number
  /** what makes its collections */
  readonly remedy: string
}

/** The wire version of MongoDB 6.0: reads at one instant outside of transactions, and all that the updates use. */
const oldestWireVersion = 17

/** `check` of a store. @throws {OutboxError} `setup-required`, naming everything that is missing or different */
export async function check(database: Database, subject: Subject, call?: CallOptions): Promise<void> {
  const own = database.under(call)
  await checkServer(own, subject)
  const missing: string[] = []
  for (const kind of subject.kinds) {
    missing.push(...(await faultsOf(own, kind, subject.names[kind])))
  }
  if (missing.length > 0) throw setupRequired(`The ${subject.title} in MongoDB is not set up.`, missing, subject.remedy)
  await checkVersion(own, subject)
}

async function checkServer(database: Database, { title }: Subject): Promise<void> {
  const hello = await database.hello()
  if (!('setName' in hello) && hello['msg'] !== 'isdbgrid') {
    throw setupRequired(`The ${title} needs transactions, and MongoDB has none here.`, [replicaSet], standaloneRemedy)
  }
  if (numberIn(hello, 'maxWireVersion') < oldestWireVersion) {
    const missing = [`MongoDB 6.0 or newer; this server speaks wire version ${hello['maxWireVersion']}`]
    throw setupRequired(`The ${title} does not run on this server.`, missing, 'Upgrade MongoDB.')
  }
}

const namespaceNotFound = 26

async function faultsOf(database: Database, kind: CollectionKind, name: string): Promise<readonly string[]> {
  let found: readonly Document[]
  try {
    found = await database.indexes(kind)
  } catch (error) {
    if (codeOf(error) === namespaceNotFound) return [`collection ${name}`]
    throw error
  }
  const expiring = found.filter((index) => 'expireAfterSeconds' in index)
  const collated = found.filter((index) => 'collation' in index)
  return [
    ...indexes[kind].flatMap((index) => faultOf(name, index, found)),
    ...expiring.map((index) => `no TTL: the index ${String(index['name'])} on ${name} deletes what may not be deleted`),
    ...collated.map(
      (index) => `no collation: to the index ${String(index['name'])} on ${name}, names that differ may be one`,
    ),
  ]
}

function faultOf(collection: string, wanted: IndexLayout, found: readonly Document[]): readonly string[] {
  const index = found.find(({ name }) => name === wanted.name)
  if (!index) return [`index ${wanted.name} on ${collection}`]
  const isSame =
    isAlike(index['key'], wanted.key) &&
    (index['unique'] === true) === (wanted.unique === true) &&
    isAlike(index['partialFilterExpression'], wanted.partialFilterExpression)
  return isSame ? [] : [`index ${wanted.name} on ${collection} as setup makes it: the one that is there is different`]
}

/** The order of fields is part of an index. */
function isAlike(one: unknown, other: unknown): boolean {
  return JSON.stringify(isDocument(one) ? one : null) === JSON.stringify(isDocument(other) ? other : null)
}

async function checkVersion(database: Database, { title, versionKey, version, remedy }: Subject): Promise<void> {
  const written = Number((await metaValue(database, versionKey)) ?? version)
  if (written < version) {
    const missing = [`version ${version} of the ${title}'s collections; these are version ${written}`]
    throw setupRequired(`The collections of the ${title} in MongoDB are too old.`, missing, remedy)
  }
  if (written > version) {
    const missing = [
      `a newer @outbox/mongo: the ${title}'s collections are version ${written}, this package knows ${version}`,
    ]
    throw setupRequired(
      `The collections of the ${title} in MongoDB are newer than this process.`,
      missing,
      'Update @outbox/mongo here before you go on: an older one would misread what the newer ones write.',
    )
  }
}
