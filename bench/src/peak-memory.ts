import { readFileSync } from 'node:fs'

/**
 * The most memory that this process has had so far, bytes.
 *
 * Not `resourceUsage().maxRSS`, where Linux gives it: a process inherits that of the one that started it.
 */
export function peakMemoryBytes(): number {
  const [, kilobytes] =
    /^VmHWM:\s+(\d+) kB$/m.exec(process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '') ?? []
  return (kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes)) * 1024
}
