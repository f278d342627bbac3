import { spawn } from 'node:child_process'

/** Reads process ids, the last one counting; at the end of its input it kills that process's group and the folder. */
const script = `
pid=
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -KILL "-$pid" 2>/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" 2>/dev/null && exit
  sleep 0.2
done
`

/**
 * Cleans up after this process if it dies in whatever way: its pipe to a small shell closes, and the shell acts.
 *
 * One watchdog guards one folder and at most one process group at a time.
 */
export interface Watchdog {
  /** The group to kill; undefined while no server runs. */
  guard(pid: number | undefined): void
  /** Calls the watchdog off: whoever holds the folder cleans up. */
  release(): void
}

export function startWatchdog(directory: string): Watchdog {
  // detached: a Ctrl-C reaches the whole group of this process, and must not reach the watchdog
  const shell = spawn('/bin/sh', ['-c', script, 'watchdog', directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  shell.unref()
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref()
  return {
    guard: (pid) => {
      shell.stdin.write(`${pid ?? ''}\n`)
    },
    release: () => {
      shell.kill('SIGKILL')
    },
  }
}
