import { expect, it } from 'vitest'
import { describeWith, startNatsCluster, startRedisCluster, startRedisSentinel, waitFor } from '../src/index.ts'
import { askRedis } from '../src/redis.ts'

describeWith({ own: 'redis' }, 'several Redis servers of the test’s own', () => {
  it('are a cluster that serves every slot, and has replicas in step', async () => {
    await using cluster = await startRedisCluster({ replicas: 1 })
    const [master] = cluster.masters
    const [replica] = cluster.replicas
    if (!master || !replica) throw new Error('nodes are missing')
    expect(await askRedis(master.port, 'CLUSTER INFO')).toMatch(/cluster_slots_ok:16384\r[\s\S]*cluster_size:3\r/)
    expect(await askRedis(replica.port, 'INFO replication')).toContain(`master_port:${master.port}\r`)
  })

  it('are watched by sentinels that can agree on a fail-over at once', async () => {
    await using sentinel = await startRedisSentinel()
    const [replica] = sentinel.replicas
    const [watcher] = sentinel.sentinels
    if (!replica || !watcher) throw new Error('servers are missing')
    expect(await askRedis(watcher.port, `SENTINEL FAILOVER ${sentinel.name}`)).toBe('+OK\r\n')
    const address = `SENTINEL GET-MASTER-ADDR-BY-NAME ${sentinel.name}`
    await waitFor(async () => (await askRedis(watcher.port, address)).includes(String(replica.port)), {
      what: 'the replica to be promoted',
      timeoutMs: 30_000,
    })
  })
})

describeWith({ own: 'nats' }, 'three NATS servers of the test’s own', () => {
  it('are a cluster: each is known by its name, and may be away and come back', async () => {
    await using cluster = await startNatsCluster()
    const one = cluster.named('one')
    expect(cluster.urls).toContain(one.url)
    expect(() => cluster.named('four')).toThrow(/only one, two, three/)
    await one.kill()
    await one.restart()
  })
})
