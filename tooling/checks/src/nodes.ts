import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { nodeProgram } from '@outbox/services'

/**
 * The Nodes that packages are tried on: the workspace's own, and the machine's if it is another that can do.
 *
 * @param oldest - major version that a driver asks for
 */
export function nodesToTry(oldest = 20): readonly string[] {
  const machine = (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((directory) => !directory.includes('node_modules'))
    .map((directory) => join(directory, 'node'))
    .find((path) => existsSync(path))
  const own = nodeProgram()
  return machine === undefined || versionOf(machine) === versionOf(own) || !canDo(versionOf(machine), oldest)
    ? [own]
    : [own, machine]
}

function versionOf(node: string): string {
  return execFileSync(node, ['--version'], { encoding: 'utf8' }).trim().replace(/^v/, '')
}

/** `require` of an ES module works from 20.19 and 22.12 on. */
function canDo(version: string, oldest: number): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major < oldest) return false
  if (major === 20) return minor >= 19
  if (major === 22) return minor >= 12
  return major > 22
}
