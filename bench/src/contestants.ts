import type { Contestant } from './contestant.ts'

type Loader = () => Promise<Contestant>

const relay = async () => (await import('./contestants/relay.ts')).relayContestant
const postgres = async () => (await import('./stores/postgres.ts')).postgresStore
const mysql = async () => (await import('./stores/mysql.ts')).mysqlStore
const sqlite = async () => (await import('./stores/sqlite.ts')).sqliteStore
const mongo = async () => (await import('./stores/mongo.ts')).mongoStore

const producer = async () => (await import('./contestants/enqueue/producer.ts')).producer
const latency = async () => (await import('./contestants/live/latency.ts')).latency

const of = async (module: Promise<{ readonly contestant: Contestant }>): Promise<Contestant> =>
  (await module).contestant

/** Every contestant by name. Only its own process opens it, and nobody loads the driver of another. */
const contestants: Readonly<Record<string, Loader>> = {
  'postgres/outbox': async () => (await relay())((await postgres())(), 'nowhere', '@outbox, mark engine'),
  'postgres/outbox-log': async () =>
    (await relay())((await postgres())({ engine: 'log' }), 'nowhere', '@outbox, log engine'),
  'postgres/redis': async () => (await relay())((await postgres())(), 'redis', '@outbox to Redis'),
  'postgres/nats': async () => (await relay())((await postgres())(), 'nats', '@outbox to JetStream'),
  'postgres/by-hand': () => of(import('./contestants/by-hand/postgres.ts')),
  'postgres/cursor': () => of(import('./contestants/drain/cursor.ts')),
  'postgres/graphile-worker': () => of(import('./contestants/drain/graphile-worker.ts')),
  'postgres/pg-boss': () => of(import('./contestants/drain/pg-boss.ts')),
  'postgres/pg-transactional-outbox': () => of(import('./contestants/drain/pg-transactional-outbox.ts')),
  'postgres/nestjs-outbox': () => of(import('./contestants/drain/nestjs-outbox.ts')),
  'mysql/outbox': async () => (await relay())(await mysql(), 'nowhere', '@outbox'),
  'mysql/redis': async () => (await relay())(await mysql(), 'redis', '@outbox to Redis'),
  'mysql/by-hand': () => of(import('./contestants/by-hand/mysql.ts')),
  'sqlite/outbox': async () => (await relay())(await sqlite(), 'nowhere', '@outbox'),
  'sqlite/redis': async () => (await relay())(await sqlite(), 'redis', '@outbox to Redis'),
  'sqlite/by-hand': () => of(import('./contestants/by-hand/sqlite.ts')),
  'mongo/outbox': async () => (await relay())(await mongo(), 'nowhere', '@outbox'),
  'mongo/redis': async () => (await relay())(await mongo(), 'redis', '@outbox to Redis'),
  'mongo/by-hand': () => of(import('./contestants/by-hand/mongo.ts')),
  'publish/redis-outbox': () => of(import('./contestants/publish/redis-outbox.ts')),
  'publish/redis-multi': () => of(import('./contestants/publish/redis-multi.ts')),
  'publish/jetstream-outbox': () => of(import('./contestants/publish/jetstream-outbox.ts')),
  'publish/jetstream-js-publish': () => of(import('./contestants/publish/jetstream-js-publish.ts')),
  'enqueue/plain': async () =>
    (await producer())({ title: 'plain multi-row insert', role: 'ceiling', way: 'plain insert' }),
  'enqueue/caller': async () =>
    (await producer())({ title: '@outbox, caller’s sequences', role: 'ours', way: 'caller’s sequences' }),
  'enqueue/assigned': async () =>
    (await producer())({ title: '@outbox, assigned sequences', role: 'ours', way: 'assigned sequences' }),
  'enqueue/with-relay': async () =>
    (await producer())({ title: '… while a relay works', role: 'ours', way: 'assigned sequences', hasRelay: true }),
  'latency/wake-up': async () => (await latency())('@outbox, wake-up', 'wake-up'),
  'latency/polling': async () => (await latency())('@outbox, polling', 'polling'),
  'idle/outbox': () => of(import('./contestants/live/idle.ts')),
  'growth/portion': () => of(import('./contestants/growth/portion.ts')),
  'growth/several-relays': () => of(import('./contestants/growth/several-relays.ts')),
  'growth/churn': () => of(import('./contestants/growth/churn.ts')),
  'footprint/start-up': () => of(import('./contestants/footprint/start-up.ts')),
}

/** By its name; after `profile/`, one that tells where its time goes. */
export async function loadContestant(name: string): Promise<Contestant> {
  const [, profiledName] = /^profile\/(.+)$/.exec(name) ?? []
  if (profiledName !== undefined) {
    const { profiled } = await import('./contestants/profiled.ts')
    return profiled(await loadContestant(profiledName))
  }
  const load = contestants[name]
  if (load === undefined) throw new Error(`there is no contestant ${name}; there are: ${Object.keys(contestants)}`)
  return load()
}
