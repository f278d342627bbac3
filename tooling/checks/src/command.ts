import { fileURLToPath } from 'node:url'
import { nodeProgram } from '@outbox/services'
import { execa, type Options } from 'execa'

/** The workspace's folder. */
export const root: string = fileURLToPath(new URL('../../..', import.meta.url))

/** pnpm as the workspace pins it, wherever it is started from: it need not be on PATH. */
const pnpmVersion = 'pnpm@12.21.0'

/** A check found something wrong; the message is what people need to see. */
export class CheckFailure extends Error {
  override readonly name = 'CheckFailure'
}

export interface CommandOptions {
  /** default: the workspace's folder */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** milliseconds, default 5 minutes */
  readonly timeoutMs?: number
}

/**
 * Runs a program with no input and returns what it printed, both streams in order.
 *
 * @throws {CheckFailure} with that output, when it fails or takes too long
 */
export async function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { cwd = root, env = {}, timeoutMs = 300_000 } = options
  const settings = {
    cwd,
    env: { NO_COLOR: '1', ...env },
    preferLocal: true,
    localDir: root,
    all: true,
    reject: false,
    stdin: 'ignore',
    timeout: timeoutMs,
  } satisfies Options
  const result = await execa(program, args, settings)
  if (result.failed) {
    throw new CheckFailure(`$ ${[program, ...args].join(' ')}\n${result.all}\n${result.shortMessage}`)
  }
  return result.all
}

/** Runs a TypeScript file under the workspace's Node. */
export function runNode(args: readonly string[], options?: CommandOptions): Promise<string> {
  return run(nodeProgram(), args, options)
}

/** Runs the pinned pnpm. */
export function runPnpm(args: readonly string[], options?: CommandOptions): Promise<string> {
  return run('npx', ['-y', pnpmVersion, ...args], options)
}
