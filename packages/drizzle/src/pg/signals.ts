import type { Wake } from '@outbox/core'

/*
 * What is said on the channel: who says it, and the partitions of what was committed, as in `k3j9x 7 12`. Anything
 * else wakes everybody.
 */

/** An origin that no process has, as its own are of letters and digits: everybody is woken, the sender too. */
export const everybodysOrigin = 'in_transaction'

/** Who says it: of no other outbox, in no other process. Needs no quoting. */
export function newOrigin(): string {
  return Math.random().toString(36).slice(2)
}

export function signal(origin: string, partitions: Iterable<number>): string {
  return [origin, ...new Set(partitions)].join(' ')
}

/** What wakes for a signal, unless `origin` itself gave it: then it has woken already. */
export function hearing(wake: Wake, origin: string): (signal: string) => void {
  return (heard) => {
    const [, from, partitions] = /^(\w+) (\d+(?: \d+)*)$/.exec(heard) ?? []
    if (from !== origin) wake(partitions?.split(' ').map(Number))
  }
}
