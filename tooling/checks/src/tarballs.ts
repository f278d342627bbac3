import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runPnpm } from './command.ts'
import { publicPackages } from './workspace.ts'

/** The packages as a registry would serve them; disposing removes them. */
export interface Tarballs extends AsyncDisposable {
  readonly directory: string
  /** path of each package's tarball, by the package's name */
  readonly paths: ReadonlyMap<string, string>
}

/** Packs every public package; they must have been built. */
export async function packAll(): Promise<Tarballs> {
  const directory = await mkdtemp(join(tmpdir(), 'outbox-tarballs-'))
  const packages = publicPackages()
  await runPnpm([
    '--recursive',
    ...packages.flatMap(({ name }) => ['--filter', name]),
    'pack',
    '--pack-destination',
    directory,
  ])
  const files = await readdir(directory)
  const paths = new Map(
    packages.map(({ name, folder }) => {
      const file = files.find((each) => each.startsWith(`outbox-${folder}-`))
      if (file === undefined) throw new Error(`${name} was not packed; there is ${files.join(', ')}`)
      return [name, join(directory, file)]
    }),
  )
  return { directory, paths, [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }) }
}
