import { connect } from '@nats-io/transport-node'
import type { DomainEvent, Publisher } from '@outbox/core'
import { natsPublisher } from '@outbox/nats'
import { redisPublisher } from '@outbox/redis'
import { createRelay } from '@outbox/relay'
import { describeWith, startNats, startRedis, startTcpProxy, waitFor } from '@outbox/services'
import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { everythingIn } from '../src/everything.ts'
import { canary } from '../src/hostile.ts'
import { openTables, openVictim } from '../src/systems.ts'

const secretive = (payload: unknown = { canary }): DomainEvent => ({
  type: 'card.used',
  aggregateId: '1',
  payload,
  headers: { note: canary },
})

// the runtime's own channel for what nobody listens to
const emitted: unknown[] = []
beforeEach(() => {
  emitted.length = 0
  vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void emitted.push(warning))
})
afterEach(() => {
  vi.restoreAllMocks()
  expectNoPayload(emitted)
})

function expectNoPayload(values: readonly unknown[]): void {
  for (const value of values) expect(everythingIn(value)).not.toContain(canary)
}

/** The publisher of somebody who ignores what `check` says, so that the broker has its say. */
function unchecked({ name, capabilities, publish, probe }: Publisher): Publisher {
  return { name, capabilities, publish, ...(probe && { probe }) }
}

/** Publishes once, to a broker that refuses, and gives what the relay and the dead letters say of it. */
async function refusedBy(publisher: Publisher, event = secretive()): Promise<readonly unknown[]> {
  await using victim = await openTables('sqlite')
  const told: unknown[] = []
  // an event's entry is the entry, with its payload: whoever logs it has chosen to
  const note = (event: object) => void told.push({ ...event, entry: undefined, entries: undefined })
  const relay = createRelay({
    store: victim.application.outbox,
    publisher: unchecked(publisher),
    retry: { maxAttempts: 1 },
    on: { retry: note, dead: note, destinationDown: note, storeDown: note, warning: note, error: note },
  })
  await victim.application.commit(event)
  await relay.tick()
  const letters = await victim.application.outbox.deadLetters.list({ limit: 10 })
  const rows = await victim.run('select reason from outbox_pending union all select reason from outbox_settled')
  return [...told, ...letters.map(({ reason }) => reason), ...rows]
}

describe('a payload that cannot be held', () => {
  it('is in no error', async () => {
    await using victim = await openTables('sqlite')
    const circular: Record<string, unknown> = { canary }
    circular['itself'] = circular
    const throwing = {
      canary,
      get broken(): string {
        throw new Error('the getter failed')
      },
    }
    for (const payload of [
      { [canary.slice(0, 3)]: undefined, list: [canary, undefined] },
      { canary, big: 1n },
      { list: [canary, Number.NaN] },
      circular,
      throwing,
      new Map([[canary, canary]]),
      { when: new Date(Number.NaN), canary },
      Promise.resolve(canary),
      () => canary,
      Symbol(canary),
      canary.repeat(100_000),
    ]) {
      const error: unknown = await victim.application.commit(secretive(payload)).catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ code: 'invalid-event' })
      expectNoPayload([error])
    }
    const header = { ...secretive(), headers: { note: `${canary}\r\n` } }
    expectNoPayload([await victim.application.commit(header).catch((thrown: unknown) => thrown)])
  })

  it('is in no error of a constraint of your own', async () => {
    await using victim = await openTables('sqlite')
    await victim.run(
      "create trigger no_cards before insert on outbox_entries begin select raise(abort, 'no cards here'); end",
    )
    const error: unknown = await victim.application.commit(secretive()).catch((thrown: unknown) => thrown)
    expect(String(error)).toContain('no cards here')
    expectNoPayload([error])
  })
})

describe.each(['mysql', 'mariadb'] as const)('a payload that a constraint of your own refuses on %s', (store) => {
  describeWith(store, 'or a statement that fails', () => {
    it('is in no error, nor in what caused it', async () => {
      await using victim = await openVictim(store)
      const connection = await createConnection(victim.url)
      const refusal = async (): Promise<unknown> =>
        await victim.application.commit(secretive()).catch((thrown: unknown) => thrown)
      await connection.query("alter table outbox_entries add constraint no_cards check (event_type <> 'card.used')")
      const refused = await refusal()
      expect(String(refused)).toContain('no_cards')
      await connection.query('rename table outbox_entries to elsewhere')
      const missing = await refusal()
      expect(missing).toMatchObject({ code: 'setup-required' })
      await connection.end()
      expectNoPayload([refused, missing])
    })
  })
})

describeWith({ own: 'redis' }, 'a payload that Redis refuses', () => {
  it.each([
    ['for want of memory', async (client: Redis) => void (await client.config('SET', 'maxmemory', '1'))],
    ['as the key is no stream', async (client: Redis) => void (await client.set('orders', 'x'))],
    [
      'as the user may not write',
      async (client: Redis) => void (await client.call('ACL', 'SETUSER', 'default', '-xadd')),
    ],
    [
      'as the user may run no script',
      async (client: Redis) => void (await client.call('ACL', 'SETUSER', 'default', '-eval', '-evalsha')),
    ],
    ['as it is a replica', async (client: Redis) => void (await client.call('REPLICAOF', '127.0.0.1', '1'))],
  ])('%s, is in no error, event or reason', async (_, spoil) => {
    await using server = await startRedis()
    const client = new Redis(server.url)
    client.on('error', () => undefined) // the server ends first
    await spoil(client)
    const told = await refusedBy(redisPublisher({ client, stream: 'orders' }))
    client.disconnect()
    expect(told.length).toBeGreaterThan(0)
    expectNoPayload(told)
  })

  it('because the connection breaks under it, is in no error, event or reason', async () => {
    await using server = await startRedis()
    await using proxy = await startTcpProxy(server.url)
    const client = new Redis(proxy.through(server.url), { autoResendUnfulfilledCommands: false })
    client.on('error', () => undefined)
    await client.ping()
    const sentBefore = proxy.bytesFromClients
    proxy.holdAnswers()
    const telling = refusedBy(redisPublisher({ client, stream: 'orders' }), secretive(canary.repeat(100)))
    await waitFor(() => proxy.bytesFromClients - sentBefore > 1_500, { what: 'the payload to be sent' })
    proxy.reset()
    const told = await telling
    client.disconnect()
    expect(everythingIn(told)).toContain('may have delivered')
    expectNoPayload(told)
  })

  it('because no answer comes, is in no error, event or reason', async () => {
    await using server = await startRedis()
    const client = new Redis(server.url, { retryStrategy: () => null, commandTimeout: 300, maxRetriesPerRequest: 0 })
    client.on('error', () => undefined)
    const publisher = redisPublisher({ client, stream: 'orders' })
    await client.ping()
    server.pause()
    const told = await refusedBy(publisher)
    server.continue()
    client.disconnect()
    expect(told.length).toBeGreaterThan(0)
    expectNoPayload([...told, ...(await refusedBy(publisher))])
  })
})

describeWith({ own: 'nats' }, 'a payload that NATS refuses', () => {
  it('for its size, or because no stream takes it, is in no error, event or reason', async () => {
    await using server = await startNats({ config: 'max_payload: 65536' })
    const connection = await connect({ servers: server.url })
    const publisher = natsPublisher({ connection, subject: 'orders.{aggregateId}' })
    const tooLarge = await refusedBy(publisher, secretive(canary.repeat(10_000)))
    expect(everythingIn(tooLarge)).toContain('takes 64512 at most')
    const homeless = await refusedBy(publisher)
    expect(everythingIn(homeless)).toContain('no stream')
    await publisher.close()
    await connection.close()
    expectNoPayload([...tooLarge, ...homeless, ...(await refusedBy(publisher))])
  })
})
