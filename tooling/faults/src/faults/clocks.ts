import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Fault } from '../faults.ts'

const faketime = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/local/lib']
  .map((directory) => `${directory}/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file))

/** Wall clocks alone: the monotonic clock is left as it is. */
const faked = { LD_PRELOAD: faketime ?? '', FAKETIME_DONT_FAKE_MONOTONIC: '1' }

const shifted = (offset: string): Readonly<Record<string, string>> => ({ ...faked, FAKETIME: offset })

const clockFile = join(tmpdir(), `outbox-clock-${process.pid}`)

/** Wrong wall clocks; nothing of this without libfaketime. */
export const clockFaults: readonly Fault[] = [
  {
    name: 'clocks',
    what: "producers' and relays' wall clocks are ten minutes apart",
    isPossible: faketime !== undefined,
    lab: () => ({
      producerEnvironments: [shifted('+10m'), shifted('-10m'), shifted('+0'), shifted('+3m')],
      relayEnvironment: shifted('-10m'),
    }),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        await wait(500)
        await notes.kill(lab.aRelay())
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'database-clock',
    what: "the database server's wall clock jumps, ten minutes ahead and ten minutes behind, and a relay is killed",
    isPossible: faketime !== undefined,
    suits: (store) => store === 'postgres' || store === 'postgres-js',
    because: 'only PostgreSQL is started under libfaketime',
    lab: () => ({
      databaseEnvironment: { ...faked, FAKETIME_TIMESTAMP_FILE: clockFile, FAKETIME_NO_CACHE: '1' },
    }),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        // whoever runs the server has to read it
        await writeFile(clockFile, round % 2 === 0 ? '+600' : '-600', { mode: 0o644 })
        await wait(500)
        await notes.kill(lab.aRelay())
        await notes.recovery(lab)
      }
      await rm(clockFile, { force: true })
    },
  },
]
