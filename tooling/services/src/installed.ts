import { execFileSync } from 'node:child_process'
import { accessSync, constants, readdirSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Service, type ServiceName, services, systemDirectories } from './catalogue.ts'

/** Which of several installed versions a test wants. */
export type WhichVersion =
  /** the first found: the folder named by OUTBOX_SERVERS, then PATH, then the distribution's folders */
  | 'newest'
  /** the same, without the folder named by OUTBOX_SERVERS */
  | 'distribution'

/** Which of the programs on this machine will do. */
export interface Wanted {
  /** default `newest` */
  readonly version?: WhichVersion
  /** the lowest version that will do, such as `7.2`; older ones are passed over */
  readonly atLeast?: string
}

/**
 * Finds the program of a service on this machine; undefined if there is none that will do.
 *
 * With OUTBOX_SERVERS_ONLY set, nothing but the folder named by OUTBOX_SERVERS counts: so a well furnished machine can
 * show what a bare one would do.
 */
export function findProgram(name: ServiceName, { version = 'newest', atLeast }: Wanted = {}): string | undefined {
  const service: Service = services[name]
  const { OUTBOX_SERVERS: own = '', OUTBOX_SERVERS_ONLY: only = '', PATH: path = '' } = process.env
  const system = [...path.split(delimiter), ...systemDirectories, ...service.directories.flatMap(expand)]
  const directories = [...(version === 'newest' ? [own] : []), ...(only === '' ? system : [])]
  for (const directory of directories) {
    if (directory === '') continue
    for (const program of service.programs) {
      const candidate = join(directory, program)
      // not its real path: redis-server is a link to a program that looks at the name it was called by
      if (!isProgram(candidate) || service.isNot?.test(versionText(candidate))) continue
      if (atLeast === undefined || isAtLeast(versionOf(candidate), atLeast)) return candidate
    }
  }
  return undefined
}

/** The version that a program reports, such as `7.0.15`. */
export function versionOf(program: string): string {
  const output = versionText(program)
  const version = /\d+(\.\d+)+/.exec(output)?.[0]
  if (version === undefined) throw new Error(`${program} --version printed no version: ${output.trim()}`)
  return version
}

function versionText(program: string): string {
  return execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function isAtLeast(version: string, lowest: string): boolean {
  return version.localeCompare(lowest, 'en', { numeric: true }) >= 0
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    // absent or not ours to run: either way not a program that a test can start
    return false
  }
}

/** A pattern with one `*` for a folder as the folders that exist, the highest version first. */
function expand(pattern: string): readonly string[] {
  const [before, after] = pattern.split('/*/')
  if (before === undefined || after === undefined) return [pattern]
  let names: readonly string[]
  try {
    names = readdirSync(before)
  } catch {
    // nothing of the kind is installed
    return []
  }
  return names.toSorted((a, b) => b.localeCompare(a, 'en', { numeric: true })).map((name) => join(before, name, after))
}
