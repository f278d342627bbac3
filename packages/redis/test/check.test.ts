import { describeWith, type OwnServer, startRedis, startTcpProxy } from '@outbox/services'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { redisPublisher } from '../src/index.ts'
import { connect, errorOf, servers } from './support.ts'

const horizon = { retryHorizonMs: 60_000 }

for (const { name, need, start } of servers) {
  describeWith(need, `the checks at start against ${name}`, () => {
    let server: OwnServer
    let client: ReturnType<typeof connect>
    beforeAll(async () => {
      server = await start({ appendonly: 'yes' })
      client = connect(server.url)
    })
    beforeEach(() => client.flushall())
    afterAll(async () => {
      client.disconnect()
      await server[Symbol.asyncDispose]()
    })

    it('a client that notices silence and a sound server pass without a word, and nothing is written', async () => {
      using fresh = connect(server.url)
      expect(await redisPublisher({ client: fresh, stream: 'orders' }).check?.(horizon)).toEqual([])
      expect(await client.keys('*')).toEqual([])
    })

    it('a key that holds something else is named', async () => {
      await client.set('orders', 'x')
      expect(
        await errorOf(Promise.resolve(redisPublisher({ client, stream: 'orders' }).check?.(horizon))),
      ).toMatchObject({
        code: 'setup-required',
        message: expect.stringMatching(/the key 'orders' holds a string, not a stream \(.*rename one of the two\)/),
      })
    })

    it('a window shorter than the retries is a warning that says what to write', async () => {
      const publisher = redisPublisher({ client, stream: 'orders', dedupeWindowMs: 1_000 })
      expect(await publisher.check?.(horizon)).toEqual([
        expect.stringMatching(/write dedupeWindowMs: 60000, or use an inbox/),
      ])
    })

    it.each([
      ['allkeys-lru', /deletes streams, fences and dedupe keys/],
      ['volatile-ttl', /deletes dedupe keys when memory is short/],
    ])('the eviction policy %s is a warning', async (policy, warning) => {
      await client.config('SET', 'maxmemory', '1gb')
      await client.config('SET', 'maxmemory-policy', policy)
      expect(await redisPublisher({ client, stream: 'orders' }).check?.(horizon)).toEqual([
        expect.stringMatching(warning),
      ])
      await client.config('SET', 'maxmemory', '0')
      await client.config('SET', 'maxmemory-policy', 'noeviction')
    })

    it('a server that keeps nothing on disk is a warning', async () => {
      await client.config('SET', 'appendonly', 'no')
      expect(await redisPublisher({ client, stream: 'orders' }).check?.(horizon)).toEqual([
        expect.stringMatching(/keeps nothing on disk/),
      ])
      await client.config('SET', 'appendonly', 'yes')
    })

    it('a client that would collect commands for ever once its connection broke is refused', async () => {
      using forgetful = connect(server.url, { enableAutoPipelining: true, autoResendUnfulfilledCommands: false })
      await expect(redisPublisher({ client: forgetful, stream: 'orders' }).check?.(horizon)).rejects.toMatchObject({
        code: 'setup-required',
        message: expect.stringContaining('leave enableAutoPipelining or autoResendUnfulfilledCommands: false out'),
      })
    })

    it('a client that sends again without end is a warning that says what to write', async () => {
      using endless = connect(server.url, { maxRetriesPerRequest: null })
      expect(await redisPublisher({ client: endless, stream: 'orders' }).check?.(horizon)).toEqual([
        expect.stringMatching(
          /write `new Redis\(\{ maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false \}\)`/,
        ),
      ])
      using told = connect(server.url, { maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false })
      expect(await redisPublisher({ client: told, stream: 'orders' }).check?.(horizon)).toEqual([])
    })

    it.each([
      [undefined, '10000'],
      [{ replicas: 1, timeoutMs: 3_000 }, '10000'],
      [{ replicas: 1, timeoutMs: 30_000 }, '60000'],
    ])(
      'a client that waits on a silent connection, acknowledging %j, is told to stop after %s ms',
      async (acknowledge, milliseconds) => {
        using patient = connect(server.url, { socketTimeout: undefined })
        const publisher = redisPublisher({ client: patient, stream: 'orders', ...(acknowledge && { acknowledge }) })
        expect(await publisher.check?.(horizon)).toEqual([
          expect.stringContaining(`write \`new Redis({ socketTimeout: ${milliseconds} })\``),
        ])
      },
    )

    it('a client that never connects again is a warning', async () => {
      using once = connect(server.url, { retryStrategy: null })
      expect(await redisPublisher({ client: once, stream: 'orders' }).check?.(horizon)).toEqual([
        expect.stringMatching(/never connects again/),
      ])
    })

    it('a closed client is a mistake in the set-up', async () => {
      using closed = connect(server.url, { lazyConnect: true })
      closed.disconnect()
      expect(
        await errorOf(Promise.resolve(redisPublisher({ client: closed, stream: 'orders' }).check?.(horizon))),
      ).toMatchObject({
        code: 'setup-required',
        message: expect.stringMatching(/pass one that stays, `new Redis\(\)`/),
      })
    })

    it('a server that is away is no mistake', async () => {
      await using proxy = await startTcpProxy(server.url)
      proxy.refuse()
      using away = connect(proxy.through(server.url))
      expect(
        await errorOf(Promise.resolve(redisPublisher({ client: away, stream: 'orders' }).check?.(horizon))),
      ).toMatchObject({
        code: 'unavailable',
      })
    })

    it('a check that is aborted rejects with the reason', async () => {
      await using proxy = await startTcpProxy(server.url)
      using held = connect(proxy.through(server.url))
      await held.ping()
      proxy.hold()
      const reason = new Error('enough')
      const stopped = new AbortController()
      const publisher = redisPublisher({ client: held, stream: 'orders' })
      const checking = errorOf(Promise.resolve(publisher.check?.({ ...horizon, signal: stopped.signal })))
      const probing = errorOf(Promise.resolve(publisher.probe?.({ signal: stopped.signal })))
      stopped.abort(reason)
      expect(await checking).toBe(reason)
      expect(await probing).toBe(reason)
    })
  })
}

describeWith({ own: 'redis', version: 'distribution' }, 'a server that is too old for what is asked', () => {
  it('is named together with what it would take', async ({ skip }) => {
    await using server = await startRedis({ version: 'distribution', config: { appendonly: 'yes' } })
    if (Number.parseFloat(server.version) >= 7.2) skip(`the distribution's Redis ${server.version} is newer`)
    using client = connect(server.url)
    const publisher = redisPublisher({ client, stream: 'orders', acknowledge: { fsync: 'local', timeoutMs: 100 } })
    expect(await errorOf(Promise.resolve(publisher.check?.(horizon)))).toMatchObject({
      code: 'setup-required',
      message: expect.stringMatching(/acknowledge\.fsync needs Redis 7\.2, this is 7\.0/),
    })
  })
})
