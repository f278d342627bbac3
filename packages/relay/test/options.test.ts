import { OutboxError } from '@outbox/core'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { createRelay, type RelayOptions } from '../src/index.ts'
import { settingsFrom } from '../src/options.ts'

const store = memoryOutbox()
const publisher = recordingPublisher()

const mistakes: readonly (readonly [string, object, option: string, advice: RegExp])[] = [
  ['a misspelt option', { bathSize: 5 }, 'bathSize', /there are: batchSize, .*leaseMs/],
  ['a misspelt retry option', { retry: { maxAttempt: 5 } }, 'retry.maxAttempt', /there are: maxAttempts, minDelayMs/],
  ['a misspelt event', { on: { publised: () => undefined } }, 'on.publised', /there are: published, retry, dead/],
  ['no store', { store: undefined }, 'store', /pass an outbox store/],
  ['a database for a store', { store: { query: () => undefined } }, 'store', /pass an outbox store/],
  ['no publisher', { publisher: undefined }, 'publisher', /pass a publisher/],
  ['a function for a publisher', { publisher: () => undefined }, 'publisher', /publisher\(\{ name, send \}\)/],
  [
    'a publisher without capabilities',
    { publisher: { name: 'own', publish: async () => [] } },
    'publisher',
    /has no capabilities: pass a publisher, .*send/,
  ],
  ['batchSize 0', { batchSize: 0 }, 'batchSize', /whole number from 1 on/],
  ['batchSize 10001', { batchSize: 10_001 }, 'batchSize', /write 10000 or less/],
  ['batchSize 1.5', { batchSize: 1.5 }, 'batchSize', /whole number from 1 on/],
  ['batchSizePerAggregate -1', { batchSizePerAggregate: -1 }, 'batchSizePerAggregate', /whole number from 1 on/],
  ['batchBytes 1 GiB', { batchBytes: 2 ** 30 }, 'batchBytes', /write 268435456 or less/],
  ['batchBytes NaN', { batchBytes: Number.NaN }, 'batchBytes', /whole number from 1 on/],
  ['lanes 0', { lanes: 0 }, 'lanes', /whole number from 1 on/],
  ['lanes as text', { lanes: '4' }, 'lanes', /whole number from 1 on/],
  ['maxCrashes 0', { maxCrashes: 0 }, 'maxCrashes', /whole number from 1 on/],
  ['two crashes, both of them in company', { maxCrashes: 2 }, 'maxCrashes', /write 3 or more: only then .* alone/],
  ['pollIntervalMs 0', { pollIntervalMs: 0 }, 'pollIntervalMs', /milliseconds, from 1 to 2147483647/],
  ['leaseMs without end', { leaseMs: Number.POSITIVE_INFINITY }, 'leaseMs', /milliseconds, from 1 to 2147483647/],
  ['publishTimeoutMs -5', { publishTimeoutMs: -5 }, 'publishTimeoutMs', /milliseconds, from 1 to 2147483647/],
  ['storeTimeoutMs longer than a timer', { storeTimeoutMs: 2 ** 31 }, 'storeTimeoutMs', /from 1 to 2147483647/],
  ['drainMs as text', { drainMs: '10s' }, 'drainMs', /milliseconds, from 1 to 2147483647/],
  ['a lease of three polls', { leaseMs: 3_999 }, 'leaseMs', /write 4000 or more/],
  ['a publish longer than the lease', { publishTimeoutMs: 8_001 }, 'publishTimeoutMs', /write 8000 or less/],
  ['a store that may answer after the lease', { storeTimeoutMs: 10_001 }, 'storeTimeoutMs', /write 10000 or less/],
  ['retry.maxAttempts 0', { retry: { maxAttempts: 0 } }, 'retry.maxAttempts', /whole number from 1 on/],
  ['retries without end', { retry: { maxAttempts: Infinity } }, 'retry.maxAttempts', /whole number from 1 on/],
  ['retry.minDelayMs 0', { retry: { minDelayMs: 0 } }, 'retry.minDelayMs', /milliseconds, from 1/],
  [
    'retry.maxDelayMs below the least',
    { retry: { maxDelayMs: 99 } },
    'retry.maxDelayMs',
    /write 100 or more, as retry.minDelayMs/,
  ],
  ['an unknown policy', { onDead: 'stop' }, 'onDead', /write 'skip' or 'block'/],
]

describe('createRelay says what to write instead of', () => {
  test.each(mistakes)('%s', (_mistake, given, option, advice) => {
    const options: RelayOptions = Object.assign({ store, publisher }, given)
    const error = thrownBy(() => createRelay(options))
    expect(OutboxError.is(error, 'invalid-option')).toBe(true)
    expect(error).toMatchObject({ details: { option }, message: expect.stringMatching(advice) })
    expect(error).toMatchObject({ message: expect.stringContaining(option) })
  })
})

test('an option given as undefined is its default', () => {
  const options: object = { store, publisher, leaseMs: undefined, retry: { maxAttempts: undefined }, on: undefined }
  expect(() => createRelay(Object.assign({ store, publisher }, options))).not.toThrow()
})

test('a short lease shortens the wait for the store, unless you say how long that is', () => {
  const short = { store, publisher, leaseMs: 900, pollIntervalMs: 200, publishTimeoutMs: 500 }
  expect(settingsFrom(short).storeTimeoutMs).toBe(900)
  expect(settingsFrom({ ...short, storeTimeoutMs: 300 }).storeTimeoutMs).toBe(300)
  expect(settingsFrom({ store, publisher, leaseMs: 60_000 }).storeTimeoutMs).toBe(5_000)
})

test('attempts as good as without end start at once', async () => {
  const relay = createRelay({ store, publisher, retry: { maxAttempts: Number.MAX_SAFE_INTEGER } })
  await relay.start()
  await relay.stop()
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  return undefined
}

test.each(['run', 'tick'] as const)(
  '%s refuses a signal that was passed as it is, and does nothing',
  async (method) => {
    await using relay = createRelay({ store, publisher })
    // @ts-expect-error the signal is an option
    await expect(relay[method](new AbortController().signal)).rejects.toMatchObject({
      code: 'invalid-option',
      message: `${method}: argument must be an object of options; there are: signal.`,
    })
    expect(relay.stats().state).toBe('idle')
  },
)
