import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readChangesets } from '@changesets/read'
import { CheckFailure, root } from './command.ts'
import { publicPackages } from './workspace.ts'

/**
 * Reads the changesets as a release will: one that cannot be read, or names what is not released, stops it.
 *
 * @throws {CheckFailure} saying what is wrong
 */
export async function checkChangesets(): Promise<string> {
  let changesets: Awaited<ReturnType<typeof readChangesets>>
  try {
    changesets = await readChangesets(root)
  } catch (error) {
    throw new CheckFailure(error instanceof Error ? error.message : String(error))
  }
  const files = (await readdir(join(root, '.changeset'))).filter((name) => name.endsWith('.md') && name !== 'README.md')
  const known = new Set(publicPackages().map(({ name }) => name))
  const unknown = changesets.flatMap(({ id, releases }) =>
    releases.filter(({ name }) => !known.has(name)).map(({ name }) => `.changeset/${id}.md names ${name}`),
  )
  const empty = changesets
    .filter(({ releases }) => releases.length === 0)
    .map(({ id }) => `.changeset/${id}.md is of no package`)
  const faults = [...unknown, ...empty]
  if (changesets.length !== files.length) faults.push(`${files.length} files, ${changesets.length} of them changesets`)
  if (faults.length > 0) throw new CheckFailure(faults.join('\n'))
  return `${changesets.length} changesets`
}
