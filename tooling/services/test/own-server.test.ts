import { existsSync } from 'node:fs'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect, it } from 'vitest'
import { firstAnswer } from '../src/first-answer.ts'
import { describeWith, startNats, startPostgres, startRedis } from '../src/index.ts'
import { stillRunning } from '../src/process-tree.ts'

describeWith({ own: 'redis' }, 'a Redis of the test’s own', () => {
  it('keeps what it wrote when it is killed and started again, on the same port', async () => {
    await using server = await startRedis({ config: { appendonly: 'yes', appendfsync: 'always' } })
    const write = new Redis(server.port, server.host)
    await write.set('key', 'value')
    write.disconnect()
    await server.kill()
    expect(await firstAnswer(server.port, 'PING\r\n')).toBeUndefined()
    await server.restart()
    const read = new Redis(server.port, server.host)
    expect(await read.get('key')).toBe('value')
    read.disconnect()
  })

  it('answers nobody while it is paused', async () => {
    await using server = await startRedis()
    server.pause()
    expect(await firstAnswer(server.port, 'PING\r\n')).toBeUndefined()
    server.continue()
    expect(await firstAnswer(server.port, 'PING\r\n')).toBe('+PONG\r\n')
  })

  it('takes settings', async () => {
    await using server = await startRedis({ config: { maxmemory: '3mb' } })
    const answer = await firstAnswer(server.port, 'CONFIG GET maxmemory\r\n')
    expect(answer).toContain(String(3 * 1024 * 1024))
  })

  it('is gone, and its folder with it, once disposed', async () => {
    const server = await startRedis()
    expect(existsSync(server.directory)).toBe(true)
    await server[Symbol.asyncDispose]()
    expect(existsSync(server.directory)).toBe(false)
    expect(await firstAnswer(server.port, 'PING\r\n')).toBeUndefined()
  })

  it('shows its log when it does not start', async () => {
    const start = startRedis({ config: { maxmemory: 'a lot' } })
    await expect(start).rejects.toThrow(/exited at start:[\s\S]*maxmemory/)
  })
})

describeWith({ own: 'nats' }, 'a NATS server of the test’s own', () => {
  it('has JetStream, and takes settings', async () => {
    await using server = await startNats({ config: 'max_payload: 2048' })
    expect(await firstAnswer(server.port, '')).toMatch(
      /"max_payload":2048.*"jetstream":true|"jetstream":true.*"max_payload":2048/,
    )
  })

  it('is there again after a kill', async () => {
    await using server = await startNats()
    await server.kill()
    expect(await firstAnswer(server.port, '')).toBeUndefined()
    await server.restart()
    expect(await firstAnswer(server.port, '')).toContain('INFO')
  })
})

describeWith({ own: 'postgres' }, 'a PostgreSQL of the test’s own', () => {
  it('keeps what was committed when all its processes are killed', async () => {
    await using server = await startPostgres()
    const before = new Client({ connectionString: server.url })
    before.on('error', () => {})
    await before.connect()
    await before.query('create table kept as select 1 as one')
    const { rows } = await before.query<{ pid: number }>('select pg_backend_pid() as pid')
    await server.kill()
    expect(stillRunning(rows.map((row) => row.pid))).toEqual([])
    await server.restart()
    const after = new Client({ connectionString: server.url })
    await after.connect()
    expect((await after.query('select one from kept')).rows).toEqual([{ one: 1 }])
    await after.end()
  })
})
