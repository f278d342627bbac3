import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sqliteOutbox } from '../src/sqlite/index.ts'
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

test('processes enqueue and relay on one file at once: nothing is lost, nothing rolled back is seen, order holds', async () => {
  const perProducer = 200
  const total = 2 * 2 * (perProducer - perProducer / 10)
  const delivered = `${file.path}.delivered`
  const exits = [
    run('sqlite-producer.ts', file.path, 'ann', String(perProducer)),
    run('sqlite-producer.ts', file.path, 'bob', String(perProducer)),
    run('sqlite-worker.ts', file.path, delivered, '0', String(total)),
    run('sqlite-worker.ts', file.path, delivered, '1', String(total)),
  ].map(exitOf)
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
})

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

test('a process killed between enqueue and commit leaves nothing, and no lock', async () => {
  const outbox = sqliteOutbox({ db: file.db })
  const crasher = run('sqlite-crasher.ts', file.path)
  const [said] = await once(outputOf(crasher), 'data')
  expect(String(said)).toBe('enqueued\n')
  const killed = once(crasher, 'exit')
  crasher.kill('SIGKILL')
  expect(await killed).toEqual([null, 'SIGKILL'])
  expect(await outbox.fetchUnpublished(10)).toEqual([])
  const receipts = file.db.transaction((tx) =>
    outbox.enqueue(tx, { type: 'order.placed', aggregateId: 'lost', payload: {} }),
  )
  expect(receipts).toMatchObject([{ sequence: 1, duplicate: false }])
})

function run(program: string, ...args: readonly string[]): ChildProcess {
  const child = spawn(
    process.execPath,
    ['--conditions=@outbox/source', fileURLToPath(new URL(program, import.meta.url)), ...args],
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
