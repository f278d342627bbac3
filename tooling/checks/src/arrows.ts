import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { CheckFailure, root } from './command.ts'
import { isRecord, publicPackages, readJsonObject, type WorkspacePackage } from './workspace.ts'

const importPattern = /(?:from|import|import\()\s*['"](@outbox\/[^'"/]+)/g

/**
 * Arrows between packages point one way: everything may use core, core uses nothing, and nobody uses anybody else.
 *
 * @throws {CheckFailure} with a line for each arrow that points another way
 */
export function checkArrows(packages: readonly WorkspacePackage[] = publicPackages()): void {
  const faults = packages.flatMap((each) => [...wrongDependencies(each), ...wrongImports(each)])
  const missing = packages.map((each) => `packages/${each.folder}`).filter((path) => !references().includes(path))
  faults.push(...missing.map((path) => `tsconfig.json: references lack ${path}`))
  if (faults.length > 0) throw new CheckFailure(faults.join('\n'))
}

function allowedFor(name: string): readonly string[] {
  return name === '@outbox/core' ? [] : ['@outbox/core']
}

function wrongDependencies({ name, folder, dependencies, peers }: WorkspacePackage): readonly string[] {
  const ours = peers.filter((peer) => peer.startsWith('@outbox/'))
  return [...dependencies, ...ours]
    .filter((dependency) => !allowedFor(name).includes(dependency))
    .map((dependency) => `packages/${folder}/package.json: depends on ${dependency}; what users bring is a peer`)
}

function wrongImports({ name, directory }: WorkspacePackage): readonly string[] {
  return globSync('src/**/*.ts', { cwd: directory }).flatMap((file) => {
    const path = join(directory, file)
    // an import in a comment is an example for readers
    const code = readFileSync(path, 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
    return [...code.matchAll(importPattern)]
      .map((match) => match[1] ?? '')
      .filter((imported) => imported !== name && !allowedFor(name).includes(imported))
      .map((imported) => `${relative(root, path)}: imports ${imported}`)
  })
}

/** folders that the root tsconfig.json builds */
function references(): readonly string[] {
  const listed = readJsonObject(join(root, 'tsconfig.json'))['references']
  if (!Array.isArray(listed)) return []
  return listed.flatMap((reference: unknown) =>
    isRecord(reference) && typeof reference['path'] === 'string' ? [reference['path'].replace(/^\.\//, '')] : [],
  )
}
