import { setTimeout as wait } from 'node:timers/promises'
import { poolSize } from '@outbox/end-to-end/application'
import { readStream } from '@outbox/end-to-end/brokers'
import type { StoreName } from '@outbox/end-to-end/stores'
import { snapshotOf, storesWithData, storesWithLocks, storesWithReadOnly, storesWithServers } from '../databases.ts'
import type { Fault } from '../faults.ts'
import { type Lab, timing } from '../lab.ts'

const hasServer = (store: StoreName): boolean => storesWithServers.has(store)

function serverOf({ database, databaseProxy }: Lab): {
  readonly server: NonNullable<Lab['database']['server']>
  readonly proxy: NonNullable<Lab['databaseProxy']>
} {
  if (!database.server || !databaseProxy) throw new Error('this store has no server')
  return { server: database.server, proxy: databaseProxy }
}

/** A connection that does something else than it should, for a while. */
function network(
  name: string,
  what: string,
  breakIt: (proxy: NonNullable<Lab['databaseProxy']>) => void,
  forMs: number,
): Fault {
  return {
    name: `database-${name}`,
    what: `the way to the database ${what}`,
    suits: hasServer,
    because: 'they have no server, they are files or live in a process',
    async inflict(lab, notes, rounds) {
      const { proxy } = serverOf(lab)
      for (let round = 0; round < rounds; round++) {
        breakIt(proxy)
        await wait(forMs)
        proxy.heal()
        await notes.recovery(lab)
        await wait(300)
      }
    },
  }
}

/** What happens to the database, and on the way to it. */
export const databaseFaults: readonly Fault[] = [
  {
    name: 'database-sigkill',
    what: 'the database server is killed (SIGKILL) and starts again',
    suits: hasServer,
    because: 'they have no server, they are files or live in a process',
    async inflict(lab, notes, rounds) {
      const { server } = serverOf(lab)
      for (let round = 0; round < rounds; round++) {
        await notes.kill(server)
        await wait(500)
        await server.restart()
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'database-restored',
    what: 'the database comes back as it was some time ago, the broker is ahead of it',
    suits: (store) => storesWithData.has(store),
    because: 'they have no server, or its starter keeps its data to itself',
    async inflict(lab, notes) {
      const { server } = serverOf(lab)
      const { dataDirectory } = lab.database
      if (!dataDirectory) throw new Error('this server does not say where its data are')
      await server.stop()
      const snapshot = await snapshotOf(dataDirectory)
      await server.restart()
      await wait(3_000)
      await server.stop()
      await snapshot.restore()
      // what the broker has and the database does not know any more
      for (const { id } of await readStream(lab.stream)) notes.excused.add(id)
      await server.restart()
      await notes.recovery(lab)
    },
  },
  network('reset', 'is reset', (proxy) => proxy.reset(), 50),
  network(
    'black-hole',
    'swallows everything, and connections stay open',
    (proxy) => proxy.blackHole(),
    2 * timing.leaseMs,
  ),
  network('half-open', 'delivers requests and no answers', (proxy) => proxy.holdAnswers(), timing.leaseMs),
  network('slow', 'takes 150 ms longer, each way', (proxy) => proxy.delay(150), 3_000),
  network('refused', 'is closed for a while', (proxy) => proxy.refuse(), 2_000),
  {
    name: 'database-read-only',
    what: 'the database takes no writes for a while',
    suits: (store) => storesWithReadOnly.has(store),
    because: 'they have no such state, or its owner stands above it',
    async inflict(lab, notes, rounds) {
      const { setReadOnly } = lab.database
      if (!setReadOnly) throw new Error('this server has no such state')
      for (let round = 0; round < rounds; round++) {
        await setReadOnly(true)
        await wait(1_500)
        await setReadOnly(false)
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'pool-exhausted',
    what: 'tables are locked until waiting statements hold every connection of the relays',
    suits: (store) => storesWithLocks.has(store),
    because: 'they have no pool, or no lock that holds everybody',
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        {
          await using lock = await lab.database.lockTables?.()
          await wait(6 * timing.storeTimeoutMs)
          const waiting = await lock?.waiting()
          const connections = poolSize * lab.relays.length
          if (waiting === undefined || waiting < connections)
            throw new Error(`only ${waiting} statements wait; the relays' pools have ${connections} connections`)
        }
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'purge-under-load',
    what: 'published entries are purged all the time, and where it can be a reader holds an old snapshot',
    async inflict(lab, notes, rounds) {
      await using _snapshot = await lab.database.holdSnapshot?.()
      let isOver = false
      let purged = 0
      const purging = (async () => {
        while (!isOver) {
          purged += await lab.shop.outbox.purge({ olderThanMs: 500, limit: 200 })
          await wait(50)
        }
      })()
      await wait(rounds * 1_000)
      await notes.recovery(lab)
      isOver = true
      await purging
      if (purged === 0) throw new Error('nothing was purged')
    },
  },
]
