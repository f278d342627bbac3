import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import getPort, { portNumbers } from 'get-port'

/** Below the range that systems hand to outgoing connections, so that a port stays free while its server is down. */
const lowest = 20_000
const highest = 31_999

/**
 * One file for each port that a process has, named by the port: processes that run beside this one look there. Each user
 * has a folder, as nobody may write into, or tidy up, what belongs to another.
 */
const claims = join(tmpdir(), `outbox-test-ports-${process.getuid?.() ?? 'all'}`)
const claimed: number[] = []

/**
 * A free TCP port of 127.0.0.1, given to nobody else before this process ends, whether or not a server listens there.
 *
 * @throws {Error} of the file system, when the folder of the claims is not this user's to write to
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const start = lowest + Math.floor(Math.random() * (highest - lowest))
    const port = await getPort({ host: '127.0.0.1', port: portNumbers(start, highest + 1000), reserve: true })
    if (claim(port)) return port
  }
}

function claim(port: number): boolean {
  mkdirSync(claims, { recursive: true, mode: 0o700 })
  const file = join(claims, String(port))
  if (isRunning(ownerOf(file))) return false
  try {
    rmSync(file, { force: true })
    writeFileSync(file, String(process.pid), { flag: 'wx' })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    return false // somebody was faster
  }
  if (claimed.length === 0) process.once('exit', () => claimed.forEach(giveUp))
  claimed.push(port)
  return true
}

function giveUp(port: number): void {
  rmSync(join(claims, String(port)), { force: true })
}

function ownerOf(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined
  } catch {
    return undefined // nobody has it
  }
}

function isRunning(pid: number | undefined): boolean {
  if (pid === undefined) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
