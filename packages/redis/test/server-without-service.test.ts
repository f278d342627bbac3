import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describeWith, waitFor } from '@outbox/services'
import { expect, it } from 'vitest'
import { type RedisClient, redisPublisher } from '../src/index.ts'
import { arrivals, clients, connect, entriesOf, messageOf, publish, servers, statuses, statusOf } from './support.ts'

/** Shows that entries wait, and why. */
async function expectOutage(client: RedisClient, reason: RegExp): Promise<void> {
  const publisher = redisPublisher({ client, stream: 'orders' })
  const outcomes = await publish(publisher, entriesOf('1', [2, 3]))
  expect(outcomes.map(statusOf), messageOf(outcomes[0])).toEqual(['unavailable', 'notSent'])
  expect(messageOf(outcomes[0])).toMatch(reason)
  await expect(publisher.probe?.({})).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringMatching(reason),
  })
}

/** Shows that they have waited for nothing else. */
async function expectDelivered(client: RedisClient, sequences: readonly number[]): Promise<void> {
  await waitFor(() => client.status === 'ready', { what: 'the client to be ready' })
  const publisher = redisPublisher({ client, stream: 'orders' })
  await publisher.probe?.({})
  const published = sequences.map(() => 'published')
  expect(await statuses(publisher, entriesOf('1', sequences))).toEqual(published)
}

/** A server that holds an entry of aggregate `order 1`, was killed, and loads it all back until it is let. */
async function startLoading(start: (typeof servers)[number]['start']) {
  const server = await start({ 'key-load-delay': '10000', 'loading-process-events-interval-bytes': '1024' })
  using client = connect(server.url)
  await expectDelivered(client, [1])
  // large enough for the server to listen after every key
  await client.eval("for i = 1, 3000 do redis.call('SET', 'key' .. i, redis.sha1hex(i):rep(30)) end", 0)
  await client.config('SET', 'rdbcompression', 'no')
  await client.save()
  await server.kill()
  const restarted = server.restart()
  return {
    server,
    async finish(through: RedisClient) {
      await through.call('config', ['set', 'key-load-delay', '0'])
      await restarted
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      await Promise.allSettled([restarted])
    },
  }
}

const [{ need: firstNeed, start: startFirst } = {}] = servers
if (!firstNeed || !startFirst) throw new Error('there is no server to test with')

describeWith(firstNeed, 'a server that loads its data', () => {
  it.each(clients)('is away for a client that looks whether it is ready, $name', async ({ connect: open }) => {
    await using loading = await startLoading(startFirst)
    // which it looks again after, and not when the server reckons to be through
    const client = open(loading.server.url, { maxLoadingRetryTime: 100 })
    using other = connect(loading.server.url, { enableReadyCheck: false })
    try {
      const publisher = redisPublisher({ client, stream: 'orders' })
      const [outcome] = await publish(publisher, entriesOf('1', [2]))
      expect(outcome?.status).toBe('unavailable')
      expect(messageOf(outcome)).toMatch(/cannot be reached/)
      await loading.finish(other)
      await expectDelivered(client, [2, 3])
    } finally {
      client.disconnect()
    }
  })
})

for (const { name, need, start } of servers) {
  describeWith(need, `${name}, there and of no use`, () => {
    it('while it loads its data it is away', async () => {
      await using loading = await startLoading(start)
      using client = connect(loading.server.url, { enableReadyCheck: false })
      await waitFor(() => client.status === 'ready', { what: 'the client to connect' })
      await expectOutage(client, /LOADING.*loading its data/)
      await loading.finish(client)
      await expectDelivered(client, [2, 3])
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '1/2', '1/3'])
    })

    it('while it cannot save to disk, and is told to take no writes then, it is away', async () => {
      await using server = await start({ save: '3600 1000000' })
      using client = connect(server.url)
      const hasSaved = async (status: string): Promise<boolean> =>
        (await client.info('persistence')).includes(`rdb_bgsave_in_progress:0\r\n`) &&
        (await client.info('persistence')).includes(`rdb_last_bgsave_status:${status}\r\n`)
      const obstacle = join(server.directory, 'dump.rdb')
      await expectDelivered(client, [1])
      await mkdir(obstacle)
      await client.bgsave()
      await waitFor(() => hasSaved('err'), { what: 'saving to fail' })
      await expectOutage(client, /MISCONF.*cannot save to disk/)
      await rmdir(obstacle)
      await client.bgsave()
      await waitFor(() => hasSaved('ok'), { what: 'saving to succeed' })
      await expectDelivered(client, [2, 3])
      expect(await arrivals(client, 'orders')).toEqual(['1/1', '1/2', '1/3'])
    })

    it.each(clients)('while it wants another password it is away, $name', async ({ connect: open }) => {
      await using server = await start()
      using direct = connect(server.url)
      await expectDelivered(direct, [1])
      await direct.config('SET', 'requirepass', 'new')
      const [without, wrong] = [open(server.url), open(server.url, { password: 'old' })]
      try {
        await expectOutage(without, /cannot be reached|NOAUTH/)
        await expectOutage(wrong, /cannot be reached|WRONGPASS/)
        await direct.config('SET', 'requirepass', 'old')
        await expectDelivered(wrong, [2])
        await direct.config('SET', 'requirepass', '')
        await expectDelivered(without, [3])
        expect(await arrivals(direct, 'orders')).toEqual(['1/1', '1/2', '1/3'])
      } finally {
        without.disconnect()
        wrong.disconnect()
      }
    })

    it('a user who was good yesterday is told so by the reply, and the entry waits for the right', async () => {
      await using server = await start()
      using direct = connect(server.url)
      // says nothing of a password at the start, so that the refusal comes with the write
      using client = connect(server.url, { enableReadyCheck: false, protocol: 2 })
      await expectDelivered(client, [1])
      await direct.call('acl', ['setuser', 'default', 'resetpass', '>new'])
      client.disconnect(true)
      await waitFor(() => client.status === 'ready', { what: 'the client to connect again' })
      await expectOutage(client, /NOAUTH|unauthenticated/)
      await direct.call('acl', ['setuser', 'default', 'nopass'])
      client.disconnect(true)
      await expectDelivered(client, [2, 3])
    })
  })
}
