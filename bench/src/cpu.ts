import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/**
 * Milliseconds of CPU that servers have used so far, user and system, their ended children among it; undefined where
 * there is no /proc. What their processes do in the background counts as well: it is the price of the work.
 */
export function cpuMsOf(...servers: readonly { readonly directory: string }[]): number | undefined {
  const all = processes()
  if (all === undefined) return undefined
  const roots = all.filter(({ pid }) => servers.some(({ directory }) => namesFolder(pid, directory)))
  const pids = new Set(roots.map(({ pid }) => pid))
  // whoever descends from one of them belongs to it
  for (let grown = true; grown; ) {
    const more = all.filter(({ pid, parent }) => pids.has(parent) && !pids.has(pid))
    for (const { pid } of more) pids.add(pid)
    grown = more.length > 0
  }
  const ticks = all.filter(({ pid }) => pids.has(pid)).reduce((sum, one) => sum + one.ticks, 0)
  return (ticks * 1000) / ticksPerSecond()
}

interface ProcessRow {
  readonly pid: number
  readonly parent: number
  readonly ticks: number
}

function processes(): readonly ProcessRow[] | undefined {
  let names: readonly string[]
  try {
    names = readdirSync('/proc')
  } catch {
    return undefined // another kind of system
  }
  return names.filter((name) => /^\d+$/.test(name)).flatMap((name) => rowOf(Number(name)) ?? [])
}

function rowOf(pid: number): ProcessRow | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // "pid (name) state parent …": user, system, and those of ended children are the fields 14 to 17
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return { pid, parent: Number(fields[1]), ticks }
  } catch {
    return undefined // ended meanwhile
  }
}

function namesFolder(pid: number, directory: string): boolean {
  // the watchdog of the folder names it too, and does nothing
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)
  } catch {
    return false // ended meanwhile
  }
}

let ticks: number | undefined
function ticksPerSecond(): number {
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  return ticks
}
