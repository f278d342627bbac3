import { writeFile } from 'node:fs/promises'
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeNatsMessage } from '@outbox/nats'
import { decodeRedisEntry } from '@outbox/redis'
import { Redis } from 'ioredis'
import { readFileStream } from './file-broker.ts'
import { readRecorded } from './memory-broker.ts'

export type BrokerKind = 'redis' | 'nats' | 'file' | 'memory'

/** Which broker a process publishes to; travels as JSON. */
export interface BrokerAddress {
  readonly kind: BrokerKind
  /** of a file, its path; of the memory of a test, where it serves it */
  readonly url: string
  /** stream, and first token of the subject */
  readonly stream: string
}

/** Creates the stream, where the broker does not do so by itself. */
export async function createStream({ kind, url, stream }: BrokerAddress): Promise<void> {
  if (kind === 'redis' || kind === 'memory') return
  if (kind === 'file') return writeFile(url, '')
  const connection = await connect({ servers: url })
  await (await jetstreamManager(connection)).streams.add({ name: stream, subjects: [`${stream}.>`] })
  await connection.close()
}

/** How many messages the stream holds. */
export async function lengthOf(address: BrokerAddress): Promise<number> {
  if (address.kind === 'redis') {
    const client = new Redis(address.url)
    try {
      return await client.xlen(address.stream)
    } finally {
      client.disconnect()
    }
  }
  if (address.kind !== 'nats') return (await readStream(address)).length
  const connection = await connect({ servers: address.url })
  try {
    return (await (await jetstreamManager(connection)).streams.info(address.stream)).state.messages
  } finally {
    await connection.close()
  }
}

/** Everything in the stream, in the broker's order. */
export async function readStream(address: BrokerAddress): Promise<readonly ReceivedEntry[]> {
  if (address.kind === 'file') return readFileStream(address.url)
  if (address.kind === 'memory') return readRecorded(address.url)
  return address.kind === 'redis' ? readRedis(address) : readNats(address)
}

async function readRedis({ url, stream }: BrokerAddress): Promise<readonly ReceivedEntry[]> {
  const client = new Redis(url)
  try {
    return (await client.xrange(stream, '-', '+')).map((message) => decodeRedisEntry(message))
  } finally {
    client.disconnect()
  }
}

async function readNats({ url, stream }: BrokerAddress): Promise<readonly ReceivedEntry[]> {
  const connection = await connect({ servers: url })
  try {
    const { state } = await (await jetstreamManager(connection)).streams.info(stream)
    const all: ReceivedEntry[] = []
    if (state.messages === 0) return all
    const consumer = await jetstream(connection).consumers.get(stream, { deliver_policy: DeliverPolicy.All })
    for await (const message of await consumer.consume()) {
      all.push(decodeNatsMessage(message))
      if (all.length === state.messages) break
    }
    return all
  } finally {
    await connection.close()
  }
}

/** Makes a Redis forget which ids it has seen, so that nothing but the fence stands between it and a late write. */
export async function forgetSeenIds({ url, stream }: BrokerAddress): Promise<number> {
  const client = new Redis(url)
  try {
    const keys = (await client.keys('*:seen:*')).filter((key) => key.includes(stream))
    return keys.length === 0 ? 0 : await client.del(...keys)
  } finally {
    client.disconnect()
  }
}
