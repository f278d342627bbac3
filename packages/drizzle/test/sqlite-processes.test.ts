import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { LeasedSource } from '@outbox/core'
import Database from 'better-sqlite3'
import { drizzle } from 'drizzle-orm/better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { setup, sqliteOutbox } from '../src/sqlite/index.ts'
import { newOutboxFile } from './sqlite-files.ts'

let file: ReturnType<typeof newOutboxFile>
const children: ChildProcess[] = []

beforeEach(() => {
  file = newOutboxFile()
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  file.remove()
})

test.each([
  ['better-sqlite3', 'better-sqlite3'],
  ['libsql', 'libsql'],
  ['better-sqlite3', 'libsql'],
])(
  'processes on %s and %s enqueue and relay on one file at once: nothing is lost, nothing rolled back is seen, order holds',
  async (...drivers) => {
    const perProducer = 100
    const total = 2 * 2 * (perProducer - perProducer / 10)
    const delivered = `${file.path}.delivered`
    const exits = drivers
      .flatMap((driver, half) => [
        run(
          driver === 'libsql' ? 'libsql-producer.ts' : 'sqlite-producer.ts',
          file.path,
          `producer${half}`,
          String(perProducer),
        ),
        run('sqlite-worker.ts', file.path, delivered, String(half), String(total), driver),
      ])
      .map(exitOf)
    expect(await Promise.all(exits)).toEqual([0, 0, 0, 0])

    const lines = readFileSync(delivered, 'utf8').trim().split('\n')
    const committed = file.db.$client.prepare('SELECT id FROM outbox_entries ORDER BY id').pluck().all()
    expect(committed).toHaveLength(total)
    expect(lines.map((line) => line.split(' ')[2]).toSorted()).toEqual(committed)
    const last = new Map<string, number>()
    for (const line of lines) {
      const [aggregate = '', sequence] = line.split(' ')
      expect(Number(sequence), line).toBe((last.get(aggregate) ?? 0) + 1)
      last.set(aggregate, Number(sequence))
    }
    expect(last.size).toBe(17)
  },
)

test('a transaction that begins with an enqueue waits for the writer before it, and needs no second try', async () => {
  const outbox = sqliteOutbox({ db: file.db })
  const holder = run('sqlite-holder.ts', file.path)
  const exit = exitOf(holder)
  await once(outputOf(holder), 'data')
  holder.stdin?.write('.')
  const receipts = file.db.transaction((tx) =>
    outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'second', payload: {} }),
  )
  expect(receipts).toMatchObject([{ sequence: 1 }])
  expect(await exit).toBe(0)
  expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['first', 'second'])
})

test('on libsql a transaction waits for the writer before it as long as the timeout of the client says', async () => {
  file.disconnect()
  const db = file.connectLibsql({ timeout: 60_000 })
  const outbox = sqliteOutbox({ db })
  const holder = run('sqlite-holder.ts', file.path)
  const exit = exitOf(holder)
  await once(outputOf(holder), 'data')
  holder.stdin?.write('.')
  await db.transaction((tx) => outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'second', payload: {} }))
  expect(await exit).toBe(0)
  expect((await outbox.fetchUnpublished(10)).map(({ aggregateId }) => aggregateId)).toEqual(['first', 'second'])
})

test('on better-sqlite3 setup waits for the writer before it as long as the timeout of the connection says', async () => {
  const db = file.connect({ timeout: 60_000 })
  const holder = run('sqlite-holder.ts', file.path)
  const exit = exitOf(holder)
  await once(outputOf(holder), 'data')
  holder.stdin?.write('.')
  setup(db, { prefix: 'other_' })
  expect(await exit).toBe(0)
  await sqliteOutbox({ db, prefix: 'other_' }).check()
})

test.each(['better-sqlite3', 'libsql'])(
  'without WAL, on %s, a call of a relay comes to its commit though there is always somebody who reads',
  async (driver) => {
    file.db.$client.pragma('journal_mode = DELETE')
    file.disconnect()
    const patient =
      driver === 'libsql'
        ? sqliteOutbox({ db: file.connectLibsql({ timeout: 60_000 }), maxWaitMs: 120_000 })
        : sqliteOutbox({ db: drizzle({ client: new Database(file.path, { timeout: 60_000 }) }), maxWaitMs: 120_000 })
    const readers = ['a', 'b', 'c'].map(() => run('sqlite-reader.ts', file.path))
    await Promise.all(readers.map((reader) => once(outputOf(reader), 'data')))
    for (const holder of ['a', 'b', 'c', 'd', 'e']) await patient.join({ holder })
    expect(readers.map(({ exitCode }) => exitCode)).toEqual([null, null, null])
  },
)

test.each(['better-sqlite3', 'libsql'])(
  'on %s a call of a relay waits for another process that writes, then says busy, and works once that is done',
  async (driver) => {
    file.disconnect()
    const connect = (maxWaitMs: number): LeasedSource =>
      driver === 'libsql'
        ? sqliteOutbox({ db: file.connectLibsql(), maxWaitMs })
        : sqliteOutbox({ db: file.connect({ timeout: 0 }), maxWaitMs })
    const patient = connect(60_000)
    const holder = run('sqlite-holder.ts', file.path)
    const exit = exitOf(holder)
    await once(outputOf(holder), 'data')
    const busy: unknown = await connect(20)
      .join({ holder: 'relay' })
      .catch((error: unknown) => error)
    expect(busy).toMatchObject({ code: 'busy', isRetryable: true, message: expect.stringContaining('SQLITE_BUSY') })
    const joined = patient.join({ holder: 'relay' })
    await new Promise((resolve) => setImmediate(resolve)) // it has met the lock by then
    holder.stdin?.write('.')
    expect(await joined).toMatchObject({ source: expect.any(String) })
    expect(await exit).toBe(0)
  },
)

test.each(['sqlite-crasher.ts', 'libsql-crasher.ts'])(
  'a process killed between enqueue and commit leaves nothing, and no lock (%s)',
  async (program) => {
    const outbox = sqliteOutbox({ db: file.db })
    const crasher = run(program, file.path)
    const [said] = await once(outputOf(crasher), 'data')
    expect(String(said)).toBe('enqueued\n')
    await kill(crasher)
    expect(await outbox.fetchUnpublished(10)).toEqual([])
    const receipts = file.db.transaction((tx) =>
      outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'lost', payload: {} }),
    )
    expect(receipts).toMatchObject([{ sequence: 1, duplicate: false }])
  },
)

test.each(['better-sqlite3', 'libsql'])(
  'a relay on %s killed in the middle of a call leaves it undone whole, and no lock',
  async (driver) => {
    // at once, not after a while: nobody holds the lock
    const outbox = sqliteOutbox({ db: file.connect({ timeout: 0 }) })
    file.db.transaction((tx) =>
      outbox.enqueue(
        tx,
        Array.from({ length: 20 }, (_, n) => ({ type: 'order.placed', aggregateId: `${n}`, payload: {} })),
      ),
    )
    const crasher = run('sqlite-step-crasher.ts', file.path, driver)
    const [said] = await once(outputOf(crasher), 'data')
    expect(String(said)).toBe('settles 20\n')
    await expect(outbox.join({ holder: 'heir' })).rejects.toMatchObject({ code: 'busy' })
    await kill(crasher)

    await outbox.join({ holder: 'heir' })
    const { leases: claims, relays } = await outbox.poll({ holder: 'heir' })
    const leases = await outbox.acquire({
      holder: 'heir',
      claims,
      evict: relays.filter(({ holder }) => holder !== 'heir'),
    })
    expect(leases).toHaveLength(64)
    // they were in its hands: each counts a crash, and one keeps nobody from anything
    const rows = file.db.all('SELECT DISTINCT is_parked, crashes FROM outbox_pending')
    expect(rows).toEqual([{ is_parked: 0, crashes: 1 }])
    expect(await outbox.fetch({ leases, limit: 100, limitPerAggregate: 100, maxBytes: 1_000_000 })).toHaveLength(20)
  },
)

async function kill(child: ChildProcess): Promise<void> {
  const killed = once(child, 'exit')
  child.kill('SIGKILL')
  expect(await killed).toEqual([null, 'SIGKILL'])
}

function run(program: string, ...args: readonly string[]): ChildProcess {
  const child = spawn(
    process.execPath,
    ['--conditions=@outbox/source', fileURLToPath(new URL(`children/${program}`, import.meta.url)), ...args],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  children.push(child)
  return child
}

async function exitOf(child: ChildProcess): Promise<unknown> {
  const [code] = await once(child, 'exit')
  return code
}

function outputOf(child: ChildProcess): NonNullable<ChildProcess['stdout']> {
  if (!child.stdout) throw new Error('the child has no standard output')
  return child.stdout
}
