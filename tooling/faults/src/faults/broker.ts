import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { createStream, readStream } from '@outbox/end-to-end/brokers'
import type { TcpProxy } from '@outbox/services'
import { Redis } from 'ioredis'
import type { Fault } from '../faults.ts'
import { type Lab, timing } from '../lab.ts'
import { strike, tells } from '../struck.ts'

/** What relays tell of a broker that does not take or does not answer. */
const isMissed = tells('destinationDown', 'retry')

function network(
  name: string,
  what: string,
  breakIt: (proxy: TcpProxy) => void,
  forMs: number,
  more: Pick<Fault, 'struck'> = {},
): Fault {
  return {
    ...more,
    name: `broker-${name}`,
    what: `the way to the broker ${what}`,
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        strike(lab.brokerProxy, breakIt)
        await wait(forMs)
        lab.brokerProxy.heal()
        await notes.recovery(lab)
        await wait(300)
      }
    },
  }
}

/** What happens to the broker, and on the way to it. */
export const brokerFaults: readonly Fault[] = [
  {
    name: 'broker-sigkill',
    what: 'the broker is killed (SIGKILL) and starts again',
    struck: isMissed,
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        await notes.kill(lab, lab.broker)
        await wait(500)
        await lab.broker.restart()
        await notes.recovery(lab)
      }
    },
  },
  network('reset', 'is reset', (proxy) => proxy.reset(), 50),
  network(
    'black-hole',
    'swallows everything; connections stay open, and pass nothing ever after',
    (proxy) => proxy.blackHole(),
    2 * timing.leaseMs,
    { struck: isMissed },
  ),
  network('half-open', 'delivers requests and no answers', (proxy) => proxy.holdAnswers(), timing.leaseMs, {
    struck: isMissed,
  }),
  network('slow', 'takes 150 ms longer, each way', (proxy) => proxy.delay(150), 3_000),
  network('refused', 'is closed for a while', (proxy) => proxy.refuse(), 2_000, { struck: isMissed }),
  {
    name: 'broker-lost-acks',
    what: 'the broker stores messages, and its acknowledgements are lost',
    struck: isMissed,
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        lab.brokerProxy.holdAnswers()
        await wait(1_500)
        lab.brokerProxy.reset() // what was held is gone
        lab.brokerProxy.heal()
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'broker-full',
    what: 'the broker has no room for a while',
    struck: tells('destinationDown'),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        await setRoom(lab, 'none')
        await wait(1_500)
        await setRoom(lab, 'plenty')
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'broker-no-permission',
    what: 'the relay may not write to the stream for a while',
    struck: tells('destinationDown'),
    lab: (publisher) => (publisher === 'nats' ? { natsConfig: natsConfig('may write') } : {}),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        await setPermission(lab, 'may not write')
        await wait(1_500)
        await setPermission(lab, 'may write')
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'stream-deleted',
    what: 'the stream is deleted, and made again two seconds later',
    struck: ({ lostByBroker }) => lostByBroker.length > 0,
    async inflict(lab, notes) {
      lab.lostByBroker.push(...(await deleteStream(lab)))
      await wait(2_000)
      await createStream(lab.stream)
      await notes.recovery(lab)
    },
  },
  {
    name: 'oversized-entry',
    what: 'one payload is larger than the broker takes',
    suits: (_store, publisher) => publisher === 'nats',
    because: 'it takes 512 MB',
    lab: () => ({ special: { type: 'order.large', payloadBytes: 1_048_200 } }),
    deadLetters: 1,
    inflict: (lab, notes) => notes.recovery(lab),
  },
]

type Permission = 'may write' | 'may not write'

/** One user, who needs no password, and whose permission a reload changes. */
const natsConfig = (permission: Permission): string => `pid_file: "nats.pid"
no_auth_user: relay
authorization { users: [ { user: relay, password: relay, permissions: {
  publish: { allow: ">", deny: [${permission === 'may write' ? '' : '"orders.>"'}] }, subscribe: ">"
} } ] }
`

async function setPermission({ broker, stream }: Lab, permission: Permission): Promise<void> {
  if (stream.kind === 'redis') {
    const client = new Redis(stream.url)
    await client.call('ACL', 'SETUSER', 'default', permission === 'may write' ? '+xadd' : '-xadd')
    client.disconnect()
    return
  }
  await writeFile(join(broker.directory, 'nats.conf'), natsConfig(permission))
  process.kill(Number(await readFile(join(broker.directory, 'nats.pid'), 'utf8')), 'SIGHUP')
}

async function setRoom({ stream }: Lab, room: 'none' | 'plenty'): Promise<void> {
  if (stream.kind === 'redis') {
    const client = new Redis(stream.url)
    await client.config('SET', 'maxmemory-policy', 'noeviction')
    await client.config('SET', 'maxmemory', room === 'none' ? '1' : '0')
    client.disconnect()
    return
  }
  const connection = await connect({ servers: stream.url })
  const { streams } = await jetstreamManager(connection)
  const { config, state } = await streams.info(stream.stream)
  // a limit of what is there already takes nothing away
  const limit = room === 'none' ? state.bytes : -1
  await streams.update(stream.stream, { ...config, max_bytes: limit, discard: 'new' as typeof config.discard })
  await connection.close()
}

/** @returns what stood in it */
async function deleteStream({ stream, brokerProxy }: Lab): ReturnType<typeof readStream> {
  // nothing arrives between the reading and the deletion
  brokerProxy.hold()
  await wait(100)
  const lost = await readStream(stream)
  if (stream.kind === 'redis') {
    const client = new Redis(stream.url)
    await client.del(stream.stream)
    client.disconnect()
  } else {
    const connection = await connect({ servers: stream.url })
    await (await jetstreamManager(connection)).streams.delete(stream.stream)
    await connection.close()
  }
  brokerProxy.heal()
  return lost
}
