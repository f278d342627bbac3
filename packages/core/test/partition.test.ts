import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { partitionCount, partitionHash, partitionOf, uuidv7Generator } from '../src/index.ts'

interface Vector {
  readonly type: string
  readonly id: string
  readonly hash: number
  readonly partition: number
}

let document = ''
let vectors: readonly Vector[] = []

beforeAll(async () => {
  document = await readFile(new URL('../../../docs/partition-hash.md', import.meta.url), 'utf8')
  const rows = document
    .replaceAll(/ +\|/g, ' |')
    .matchAll(/^\| `(?<type>.+?)` \| `(?<id>.+?)` \| `(?<hash>[0-9a-f]{8})` \| (?<partition>\d+) \|$/gm)
  vectors = [...rows].map(({ groups }) => ({
    type: groups?.['type'] ?? '',
    id: groups?.['id'] ?? '',
    hash: Number.parseInt(groups?.['hash'] ?? '', 16),
    partition: Number(groups?.['partition']),
  }))
})

/** The algorithm once more, from its description: big integers, remainders and the platform's own UTF-8. */
function hashByTheBook(type: string, id: string): number {
  const low = (value: bigint): bigint => BigInt.asUintN(32, value)
  let hash = 0x811c9dc5n
  for (const byte of Buffer.from(`${type}\u001f${id}`, 'utf8')) hash = low((hash ^ BigInt(byte)) * 0x01000193n)
  hash = low((hash ^ (hash / 65_536n)) * 0x85ebca6bn)
  hash = low((hash ^ (hash / 8_192n)) * 0xc2b2ae35n)
  return Number(hash ^ (hash / 65_536n))
}

type Aggregate = readonly [type: string, id: string]

/** Pearson's statistic of how evenly the ids fall on the 64 partitions; 63 degrees of freedom. */
function chiSquare(
  aggregates: readonly Aggregate[],
  hash: (type: string, id: string) => number = partitionHash,
): number {
  const counts = new Array<number>(partitionCount).fill(0)
  for (const [type, id] of aggregates) {
    const partition = hash(type, id) % partitionCount
    counts[partition] = (counts[partition] ?? 0) + 1
  }
  const expected = aggregates.length / partitionCount
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
}

/** Chance passes this bound once in 10,000 times, were the ids random; these ids are fixed, so the answer is too. */
const chiSquareBound = 113

test('the hash gives the written test vectors', () => {
  expect(vectors.length).toBeGreaterThanOrEqual(12)
  for (const { type, id, hash, partition } of vectors) {
    expect([type, id, partitionHash(type, id), partitionOf(type, id)]).toEqual([type, id, hash, partition])
  }
})

test('a second implementation, written from the description, gives the test vectors too', () => {
  for (const { type, id, hash } of vectors) expect([type, id, hashByTheBook(type, id)]).toEqual([type, id, hash])
})

test('both implementations agree on any names', () => {
  const name = fc.oneof(fc.string({ minLength: 1 }), fc.string({ unit: 'grapheme', minLength: 1 }), fc.uuid())
  fc.assert(
    fc.property(name, name, (type, id) => {
      expect(partitionHash(type, id)).toBe(hashByTheBook(type, id))
      expect(partitionOf(type, id)).toBe(partitionHash(type, id) & 63)
    }),
    { numRuns: 2000 },
  )
})

const python = await promisify(execFile)('python3', ['--version']).then(
  () => true,
  () => false,
)

// Where it is missing, CI fails, and elsewhere the test is left out.
const isLeftOut = !python && process.env['CI'] !== 'true'

test.skipIf(isLeftOut)('the Python of the documentation gives the test vectors', async () => {
  const source = /```python\n(?<source>[\s\S]*?)```/.exec(document)?.groups?.['source']
  const program = `${source}
import json, sys
print(json.dumps([[partition_hash(t, i), partition_of(t, i)] for t, i in json.loads(sys.argv[1])]))`
  const names = JSON.stringify(vectors.map(({ type, id }) => [type, id]))
  const { stdout } = await promisify(execFile)('python3', ['-c', program, names])
  expect(JSON.parse(stdout)).toEqual(vectors.map(({ hash, partition }) => [hash, partition]))
})

test('the separator keeps type and id apart', () => {
  expect(partitionHash('a', 'bc')).not.toBe(partitionHash('ab', 'c'))
})

const numbers = Array.from({ length: 64_000 }, (_, i) => i)
const letters = [...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789']

/** Chance from a seed (mulberry32), so that the ids are the same in every run. */
function seededRandom(seed: number): (bytes: Uint8Array) => void {
  let state = seed
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      bytes[i] = (mixed ^ (mixed >>> 14)) & 0xff
    }
  }
}

const newId = uuidv7Generator({ now: () => 1_700_000_000_000, random: seededRandom(1) })

const letterPairs: readonly Aggregate[] = letters.flatMap((type) => letters.map((id): Aggregate => [type, id]))

test.each<[string, readonly Aggregate[]]>([
  ['sequential numbers', numbers.map((n) => ['order', String(n)])],
  ['padded numbers with a prefix', numbers.map((n) => ['order', `ORD-${String(n).padStart(10, '0')}`])],
  ['every 64th number', numbers.map((n) => ['order', String(n * 64)])],
  ['UUIDs of one millisecond', numbers.map(() => ['order', newId()])],
  ['one-letter ids', letters.map((letter) => ['order', letter])],
  ['one-letter types and ids', letterPairs],
  ['one id of many types', numbers.map((n) => [`type${n}`, '1'])],
])('%s spread evenly over the partitions', (_, aggregates) => {
  expect(chiSquare(aggregates)).toBeLessThan(chiSquareBound)
})

test('the bound tells an uneven hash: the sum of the bytes does not pass it', () => {
  const sum = (_: string, id: string): number => Buffer.from(id).reduce((total, byte) => total + byte, 0)
  expect(
    chiSquare(
      numbers.map((n): Aggregate => ['order', String(n)]),
      sum,
    ),
  ).toBeGreaterThan(chiSquareBound)
})
