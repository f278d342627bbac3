import { existsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { ReceivedEntry } from '@outbox/core/wire'
import type { StoreName } from '@outbox/end-to-end/stores'
import { waitFor } from '@outbox/services'
import pg from 'pg'
import type { Fault } from '../faults.ts'
import type { Lab } from '../lab.ts'

const faketime = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/local/lib']
  .map((directory) => `${directory}/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file))

/** Wall clocks alone: the monotonic clock is left as it is. */
const faked = { LD_PRELOAD: faketime ?? '', FAKETIME_DONT_FAKE_MONOTONIC: '1' }

const shifted = (offset: string): Readonly<Record<string, string>> => ({ ...faked, FAKETIME: offset })

const clockFile = join(tmpdir(), `outbox-clock-${process.pid}`)

/** A clock that jumps whenever `setJumping` says so. */
const jumping = { ...faked, FAKETIME_TIMESTAMP_FILE: clockFile, FAKETIME_NO_CACHE: '1' }

function setJumping(offset: string): void {
  // whoever runs the process has to read it
  writeFileSync(clockFile, offset, { mode: 0o644 })
}

const stores: ReadonlySet<StoreName> = new Set(['postgres', 'postgres-log', 'postgres-js'] as const)

/** Wrong wall clocks; nothing of this without libfaketime. */
export const clockFaults: readonly Fault[] = [
  {
    name: 'clocks',
    what: "producers' and relays' wall clocks are up to twenty minutes apart, and one of each jumps",
    isPossible: faketime !== undefined,
    lab() {
      setJumping('+0')
      return {
        producerEnvironments: [shifted('+10m'), shifted('-10m'), shifted('+0'), jumping],
        relayEnvironments: [shifted('-10m'), shifted('+10m'), jumping],
      }
    },
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        setJumping(offsetOf(round))
        await wait(500)
        await notes.kill(lab, await lab.aRelay())
        await notes.recovery(lab)
      }
    },
    struck: (lab, stream) => areApart(lab, 'relay') && areApart(lab, 'producer') && areDatesApart(stream),
  },
  {
    name: 'database-clock',
    what: "the database server's wall clock jumps, ten minutes ahead and ten minutes behind, and a relay is killed",
    isPossible: faketime !== undefined,
    suits: (store) => stores.has(store),
    because: 'only PostgreSQL is started under libfaketime',
    lab() {
      setJumping('+0')
      return { databaseEnvironment: jumping }
    },
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        const offset = offsetOf(round)
        setJumping(offset)
        const what = `the database's clock to jump to ${offset} s`
        await waitFor(async () => Math.abs((await databaseAheadMs(lab)) - Number(offset) * 1_000) < 60_000, { what })
        await notes.kill(lab, await lab.aRelay())
        await notes.recoveryAsRead(lab)
      }
    },
  },
]

const offsetOf = (round: number): string => (round % 2 === 0 ? '+600' : '-600')

const manyMs = 15 * 60_000

/** Processes tell their clocks when they begin, within a few seconds of each other. */
function areApart(lab: Lab, by: 'relay' | 'producer'): boolean {
  return (
    spread(lab.told('began').flatMap((message) => (message['by'] === by ? [Number(message['clock'])] : []))) > manyMs
  )
}

function areDatesApart(stream: readonly ReceivedEntry[]): boolean {
  return spread(stream.map(({ occurredAt }) => occurredAt.getTime())) > manyMs
}

function spread(times: readonly number[]): number {
  return times.reduce((a, b) => Math.max(a, b), -Infinity) - times.reduce((a, b) => Math.min(a, b), Infinity)
}

async function databaseAheadMs({ database }: Lab): Promise<number> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    const { rows } = await client.query('select extract(epoch from clock_timestamp()) * 1000 as now')
    return Number(rows[0]?.now) - Date.now()
  } finally {
    await client.end()
  }
}
