import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './command.ts'

/** A package that is published. */
export interface WorkspacePackage {
  /** with its scope, such as `@outbox/core` */
  readonly name: string
  /** its folder in `packages/` */
  readonly folder: string
  readonly directory: string
  /** names in `dependencies` */
  readonly dependencies: readonly string[]
  /** names in `peerDependencies` */
  readonly peers: readonly string[]
  /** subpaths that it exports, such as `.` and `./wire` */
  readonly entryPoints: readonly string[]
}

/** Every package in `packages/` that has source, by name. */
export function publicPackages(): readonly WorkspacePackage[] {
  return readdirSync(join(root, 'packages'))
    .filter((folder) => existsSync(join(root, 'packages', folder, 'src')))
    .map(readPackage)
}

function readPackage(folder: string): WorkspacePackage {
  const directory = join(root, 'packages', folder)
  const manifest = readJsonObject(join(directory, 'package.json'))
  const { name } = manifest
  if (typeof name !== 'string') throw new Error(`${directory} has no name`)
  return {
    name,
    folder,
    directory,
    dependencies: keysOf(manifest['dependencies']),
    peers: keysOf(manifest['peerDependencies']),
    entryPoints: keysOf(manifest['exports']).filter((path) => path !== './package.json'),
  }
}

/** The object in a JSON file. */
export function readJsonObject(path: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
  if (!isRecord(value)) throw new Error(`${path} holds no object`)
  return value
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function keysOf(value: unknown): readonly string[] {
  return isRecord(value) ? Object.keys(value) : []
}
