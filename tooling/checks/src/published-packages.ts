import { CheckFailure, run } from './command.ts'
import { packAll } from './tarballs.ts'

/**
 * Looks at the packed packages with publint and are-the-types-wrong.
 *
 * @throws {CheckFailure} with what they found
 */
export async function checkPublishedPackages(): Promise<void> {
  await using tarballs = await packAll()
  const faults: string[] = []
  for (const path of tarballs.paths.values()) {
    for (const [program, ...args] of [
      ['publint', 'run', path, '--strict'],
      ['attw', path, '--profile', 'esm-only', '--no-emoji', '--format', 'ascii'],
    ] as const) {
      try {
        await run(program, args)
      } catch (error) {
        if (!(error instanceof CheckFailure)) throw error
        faults.push(error.message)
      }
    }
  }
  if (faults.length > 0) throw new CheckFailure(faults.join('\n'))
}
