import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { Result } from './run.ts'

export type Named = Pick<Result, 'store' | 'publisher' | 'fault'>

/** Tells runs apart. */
export const nameOf = ({ store, publisher, fault }: Named): string => `${store} ${publisher} ${fault}`

/** The runs of a file, as `writeResults` left them; none if there is no such file. */
export async function readResults(file: string): Promise<readonly Result[]> {
  if (!existsSync(file)) return []
  const results: unknown = JSON.parse(await readFile(file, 'utf8'))
  if (!Array.isArray(results)) throw new Error(`${file} holds no list of runs`)
  return results
}

/** The whole file or nothing of it: whoever is killed meanwhile leaves the runs that were there. */
export async function writeResults(file: string, results: readonly Result[]): Promise<void> {
  await writeFile(`${file}.new`, `${JSON.stringify(results, null, 2)}\n`)
  await rename(`${file}.new`, file)
}

/** Runs of several files as one; of two of the same pair and fault the later one counts. */
export function merged(...lists: readonly (readonly Result[])[]): readonly Result[] {
  const byName = new Map<string, Result>()
  for (const result of lists.flat().toSorted((a, b) => a.at.localeCompare(b.at))) byName.set(nameOf(result), result)
  return [...byName.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)))
}

/** Whether this stands there already, and nothing was wrong with it. */
export function isDone(results: readonly Result[], one: Named): boolean {
  return results.some((result) => nameOf(result) === nameOf(one) && result.wrong.length === 0)
}
