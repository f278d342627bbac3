export { type ServiceName, services } from './catalogue.ts'
export { compiled } from './compiled.ts'
export { createDatabase, type TestDatabase } from './database.ts'
export { describeWith, isAvailable, type Need } from './describe-with.ts'
export type { Wanted, WhichVersion } from './installed.ts'
export { startMariadb } from './mariadb.ts'
export { type StartMongoOptions, startMongo } from './mongo.ts'
export { type StartMysqlOptions, startMysql } from './mysql.ts'
export { createMysqlDatabase } from './mysql-database.ts'
export { type StartNatsOptions, startNats } from './nats.ts'
export { type NatsCluster, startNatsCluster } from './nats-cluster.ts'
export { nodeProgram } from './node-program.ts'
export type { OwnServer } from './own-server.ts'
export { type StartPgBouncerOptions, startPgBouncer } from './pgbouncer.ts'
export { freePort } from './ports.ts'
export { type StartPostgresOptions, startPostgres, startPostgresStandby } from './postgres.ts'
export { type StartRedisOptions, startRedis, startValkey } from './redis.ts'
export { type RedisCluster, type StartRedisClusterOptions, startRedisCluster } from './redis-cluster.ts'
export { type RedisSentinel, type StartRedisSentinelOptions, startRedisSentinel } from './redis-sentinel.ts'
export {
  freshDatabase,
  sharedMariadb,
  sharedMongo,
  sharedMysql,
  sharedNats,
  sharedPostgres,
  sharedRedis,
  sharedServer,
} from './shared.ts'
export { type ChildExit, type NodeChild, type SpawnNodeOptions, spawnNode } from './spawn-node.ts'
export { startTcpProxy, type TcpProxy } from './tcp-proxy.ts'
export { type WaitForOptions, waitFor } from './wait-for.ts'
