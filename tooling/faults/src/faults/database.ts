import { setTimeout as wait } from 'node:timers/promises'
import { poolSize } from '@outbox/end-to-end/application'
import { readStream } from '@outbox/end-to-end/brokers'
import type { StoreName } from '@outbox/end-to-end/stores'
import { type TcpProxy, waitFor } from '@outbox/services'
import { snapshotOf, storesWithData, storesWithLocks, storesWithReadOnly, storesWithServers } from '../databases.ts'
import type { Fault } from '../faults.ts'
import { type Lab, timing } from '../lab.ts'
import { strike, tells } from '../struck.ts'

/** What relays tell of a database that does not take or does not answer. */
const isMissed = tells('storeDown')

const hasServer = (store: StoreName): boolean => storesWithServers.has(store)

function serverOf({ database, databaseProxy }: Lab): {
  readonly server: NonNullable<Lab['database']['server']>
  readonly proxy: TcpProxy
} {
  if (!database.server || !databaseProxy) throw new Error('this store has no server')
  return { server: database.server, proxy: databaseProxy }
}

/** A connection that does something else than it should, for a while. */
function network(
  name: string,
  what: string,
  breakIt: (proxy: TcpProxy) => void,
  forMs: number,
  {
    mend = (proxy) => proxy.heal(),
    ...more
  }: Pick<Fault, 'struck'> & { readonly mend?: (proxy: TcpProxy) => void } = {},
): Fault {
  return {
    ...more,
    name: `database-${name}`,
    what: `the way to the database ${what}`,
    suits: hasServer,
    because: 'they have no server, they are files or live in a process',
    async inflict(lab, notes, rounds) {
      const { proxy } = serverOf(lab)
      for (let round = 0; round < rounds; round++) {
        strike(proxy, breakIt)
        await wait(forMs)
        mend(proxy)
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
    struck: isMissed,
    suits: hasServer,
    because: 'they have no server, they are files or live in a process',
    async inflict(lab, notes, rounds) {
      const { server } = serverOf(lab)
      for (let round = 0; round < rounds; round++) {
        await notes.kill(lab, server)
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
    because:
      'the file is not to be exchanged while processes have it open, or the launcher of the server keeps its data to itself',
    async inflict(lab, notes) {
      const { server } = serverOf(lab)
      const { dataDirectory } = lab.database
      if (!dataDirectory) throw new Error('this server does not say where its data are')
      const known = new Set(await lab.shop.committed())
      await server.stop()
      const snapshot = await snapshotOf(dataDirectory)
      await server.restart()
      // transactions that were open at the stop may have committed after the question, but not so many
      const isAhead = async () => (await readStream(lab.stream)).filter(({ id }) => !known.has(id)).length > 200
      await waitFor(isAhead, { what: 'the broker to be ahead of the snapshot', timeoutMs: 60_000, intervalMs: 200 })
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
    'swallows everything, and connections break only when it is over',
    (proxy) => proxy.blackHole(),
    2 * timing.leaseMs,
    {
      struck: isMissed,
      // a server that is never told of the end would keep the locks of transactions whose client is gone
      mend(proxy) {
        proxy.reset()
        proxy.heal()
      },
    },
  ),
  network('half-open', 'delivers requests and no answers', (proxy) => proxy.holdAnswers(), timing.leaseMs, {
    struck: isMissed,
  }),
  network('slow', 'takes 150 ms longer, each way', (proxy) => proxy.delay(150), 3_000),
  network('refused', 'is closed for a while', (proxy) => proxy.refuse(), 2_000, { struck: isMissed }),
  {
    name: 'database-read-only',
    what: 'the database takes no writes for a while',
    struck: isMissed,
    suits: (store) => storesWithReadOnly.has(store),
    because: 'they have no such state, or what the tests connect as stands above it',
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
