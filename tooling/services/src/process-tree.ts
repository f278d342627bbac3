import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

interface ProcessRow {
  readonly pid: number
  readonly parent: number
  /** ended, and not yet collected by its parent */
  readonly isZombie: boolean
}

/** The process and all that descend from it, parents first. */
export function processTree(pid: number): readonly number[] {
  const rows = allProcesses()
  const tree = [pid]
  for (const parent of tree) tree.push(...rows.filter((row) => row.parent === parent).map((row) => row.pid))
  return tree
}

/** Sends a signal to each process that is still there. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

/** Those of the processes that still run. */
export function stillRunning(pids: readonly number[]): readonly number[] {
  const running = new Set(allProcesses().flatMap((row) => (row.isZombie ? [] : [row.pid])))
  return pids.filter((pid) => running.has(pid))
}

function allProcesses(): readonly ProcessRow[] {
  return existsSync('/proc/self/stat') ? fromProc() : fromPs()
}

function fromProc(): readonly ProcessRow[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      let stat: string
      try {
        stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      } catch (error) {
        // it ended between the listing and the reading
        if (isGone(error)) return []
        throw error
      }
      // "pid (name, which may hold spaces and parentheses) state parent …"
      const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return [{ pid: Number(name), parent: Number(parent), isZombie: state === 'Z' || state === 'X' }]
    })
}

function fromPs(): readonly ProcessRow[] {
  const listing = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' })
  return listing
    .trim()
    .split('\n')
    .map((line) => {
      const [pid, parent, state] = line.trim().split(/\s+/)
      return { pid: Number(pid), parent: Number(parent), isZombie: state?.startsWith('Z') === true }
    })
}

function isGone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ESRCH' || code === 'ENOENT'
}
