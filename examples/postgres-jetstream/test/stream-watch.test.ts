import { randomUUID } from 'node:crypto'
import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, nanos } from '@nats-io/transport-node'
import { describeWith, sharedNats, waitFor } from '@outbox/services'
import { expect, it } from 'vitest'
import { troublesOf } from '../src/stream-watch.ts'

describeWith('nats', 'the watch of a stream', () => {
  it('tells of a consumer that is about to lose messages, and of no other', async () => {
    const maxAgeMs = 3_600_000
    await using stream = await openStream({ max_age: nanos(maxAgeMs) })
    const { manager, js, name } = stream
    for (const [durable_name, filter_subject] of [
      ['quick', `${name}.>`],
      ['slow', `${name}.order`],
      ['other', `${name}.invoice`],
    ] as const) {
      await manager.consumers.add(name, { durable_name, filter_subject, ack_policy: AckPolicy.Explicit })
    }
    for (let count = 0; count < 3; count += 1) await js.publish(`${name}.order`)
    const quick = await js.consumers.get(name, 'quick')
    for (const message of await Array.fromAsync(await quick.fetch({ max_messages: 3 }))) await message.ackAck()
    expect(await troublesOf(manager, name)).toEqual([])

    const late = Date.now() + maxAgeMs / 2 + 1
    expect(await troublesOf(manager, name, late)).toEqual([
      expect.stringMatching(/^slow has 3 messages to do, the oldest of /),
    ])
    await waitFor(() => Date.now() > late - maxAgeMs / 2, { what: 'the next millisecond' })
    await js.publish(`${name}.invoice`) // `other` has something to do as well, and it is newer
    expect(await troublesOf(manager, name, late)).toHaveLength(1)
  })

  it('looks only at what a consumer of several subjects has to do', async ({ skip }) => {
    const maxAgeMs = 3_600_000
    await using stream = await openStream({ max_age: nanos(maxAgeMs) })
    const { manager, js, name } = stream
    const [major = 0, minor = 0] = stream.serverVersion.split('.').map(Number)
    if (major === 2 && minor < 10)
      skip(`nats-server ${stream.serverVersion} gives a consumer one subject; it takes 2.10`)
    await manager.consumers.add(name, {
      durable_name: 'several',
      filter_subjects: [`${name}.invoice`, `${name}.refund`],
      ack_policy: AckPolicy.Explicit,
    })
    await js.publish(`${name}.order`) // older, and none of its business
    const published = Date.now()
    await waitFor(() => Date.now() > published, { what: 'the next millisecond' })
    const { seq } = await js.publish(`${name}.refund`)
    const refund = await manager.streams.getMessage(name, { seq })
    const time = refund?.time.getTime() ?? 0
    expect(await troublesOf(manager, name, time + maxAgeMs / 2)).toEqual([])
    expect(await troublesOf(manager, name, time + maxAgeMs / 2 + 1)).toEqual([
      expect.stringMatching(/^several has 1 messages to do, the oldest of /),
    ])
  })

  it('tells when it fills up', async () => {
    await using counted = await openStream({ max_msgs: 10 })
    for (let count = 0; count < 9; count += 1) await counted.js.publish(`${counted.name}.order`)
    expect(await troublesOf(counted.manager, counted.name)).toEqual([expect.stringMatching(/ is filled to 90 %$/)])
    await using stream = await openStream({ max_bytes: 10_000 })
    const { manager, js, name } = stream
    await js.publish(`${name}.order`, new Uint8Array(5_000))
    expect(await troublesOf(manager, name)).toEqual([])
    await js.publish(`${name}.order`, new Uint8Array(3_500))
    expect(await troublesOf(manager, name)).toEqual([expect.stringMatching(/ is filled to 8\d %$/)])
  })
})

interface Limits {
  readonly max_age?: number
  readonly max_bytes?: number
  readonly max_msgs?: number
}

async function openStream(limits: Limits) {
  const connection = await connect({ servers: await sharedNats() })
  const manager = await jetstreamManager(connection)
  const name = `watch-${randomUUID()}`
  await manager.streams.add({ name, subjects: [`${name}.>`], ...limits })
  return {
    manager,
    js: jetstream(connection),
    name,
    serverVersion: connection.info?.version ?? '',
    async [Symbol.asyncDispose]() {
      await manager.streams.delete(name)
      await connection.close()
    },
  }
}
