import {
  type Clock,
  type DueEntry,
  type LeasedSource,
  type OutboxError,
  type OutboxSource,
  type Publisher,
  systemClock,
} from '@outbox/core'
import { invalidOption, knownOptions, requireCount, shown, suspectAt } from '@outbox/core/adapter'
import type { RelayListeners } from './events.ts'
import { requireTimer } from './pause.ts'
import type { RetryOptions, RetryRules } from './retry.ts'
import { isLeased } from './store-calls.ts'

export interface RelayOptions {
  /** any outbox store; one with only the three methods of the trait is relayed by one relay at a time */
  readonly store: LeasedSource | OutboxSource
  readonly publisher: Publisher
  readonly on?: RelayListeners | undefined

  /** entries per batch, default 500, at most 10,000 */
  readonly batchSize?: number | undefined
  /** entries of one aggregate per batch, default 100: one busy aggregate does not fill the batch */
  readonly batchSizePerAggregate?: number | undefined
  /** payload bytes per batch, default 4 MiB, at most 256 MiB; with `lanes`, what bounds the relay's memory */
  readonly batchBytes?: number | undefined
  /** batches at work side by side, default 4; each uses one database connection at a time */
  readonly lanes?: number | undefined

  /** at rest, milliseconds between two polls of the store, default 1,000; shorter while there is work */
  readonly pollIntervalMs?: number | undefined
  /** within which a relay that died is replaced, counted from its last poll; default 10,000 ms, at least four polls */
  readonly leaseMs?: number | undefined
  /** after which a publish without an answer is `unknown`, default 5,000 ms; must end within the lease */
  readonly publishTimeoutMs?: number | undefined
  /** after which a store's call without an answer has failed, default 5,000 ms */
  readonly storeTimeoutMs?: number | undefined
  /** how long `stop` waits for what is in flight, default 10,000 ms */
  readonly drainMs?: number | undefined

  readonly retry?: RetryOptions | undefined
  /**
   * Other rules for some entries, by their type for instance: what it gives takes the place of the same option of
   * `retry`. Asked at each refusal. One that throws, or gives what cannot be, is an `error` event, and `retry` counts.
   */
  readonly retryFor?: ((entry: DueEntry) => RetryOptions | undefined) | undefined
  /** how often a relay may die with one entry in its hands before it is a dead letter, default 5 */
  readonly maxCrashes?: number | undefined
  /**
   * What a dead letter does to its aggregate, default 'skip': the next entry goes on. 'block': the aggregate stands
   * still, in order, until somebody requeues or discards the dead letter.
   */
  readonly onDead?: 'skip' | 'block' | undefined

  /** for tests and simulations */
  readonly clock?: Clock | undefined
  /** 0 ≤ x < 1, for tests and simulations */
  readonly random?: (() => number) | undefined
  /** a fresh random token per call, for tests and simulations */
  readonly newHolder?: (() => string) | undefined
}

/** The options with every default filled in. */
export interface RelaySettings {
  readonly batchSize: number
  readonly batchSizePerAggregate: number
  readonly batchBytes: number
  readonly lanes: number
  readonly pollIntervalMs: number
  readonly leaseMs: number
  readonly publishTimeoutMs: number
  readonly storeTimeoutMs: number
  readonly drainMs: number
  readonly retry: RetryRules
  readonly retryFor: RelayOptions['retryFor']
  readonly maxCrashes: number
  readonly onDead: 'skip' | 'block'
  readonly clock: Clock
  readonly random: () => number
  readonly newHolder: () => string
}

const defaults: RelaySettings = Object.freeze({
  batchSize: 500,
  batchSizePerAggregate: 100,
  batchBytes: 4 * 1024 * 1024,
  lanes: 4,
  pollIntervalMs: 1_000,
  leaseMs: 10_000,
  publishTimeoutMs: 5_000,
  storeTimeoutMs: 5_000,
  drainMs: 10_000,
  retry: Object.freeze({ maxAttempts: 10, minDelayMs: 100, maxDelayMs: 60_000 }),
  retryFor: undefined,
  maxCrashes: 5,
  onDead: 'skip',
  clock: systemClock,
  random: Math.random,
  newHolder: () => crypto.randomUUID(),
})

/** Stores and brokers have limits of their own for what one statement or one request may name. */
const largestBatch = 10_000
const largestBatchBytes = 256 * 1024 * 1024

const of = 'createRelay'

const leasedCalls = ['check', 'join', 'poll', 'acquire', 'release', 'fetch', 'settle'] as const

/**
 * Fills in the defaults and refuses what cannot work.
 *
 * @throws {OutboxError} `invalid-option`, saying what to write instead
 */
export function settingsFrom(options: RelayOptions): RelaySettings {
  const known = { ...defaults, store: true, publisher: true, on: true }
  const { store, publisher, on: _, retry, ...rest } = knownOptions(of, options, known)
  requireMembers('store', store, 'pass an outbox store, such as memoryOutbox()', 'fetchUnpublished')
  if (isLeased(store)) requireMembers('store', store, 'a store with leases has all of their calls', ...leasedCalls)
  requireMembers(
    'publisher',
    publisher,
    'pass a publisher, such as publisher({ name, send })',
    'publish',
    'capabilities',
  )
  const settings: RelaySettings = {
    ...defaults,
    storeTimeoutMs: Math.min(defaults.storeTimeoutMs, rest.leaseMs ?? defaults.leaseMs),
    ...rest,
    retry: retryFrom(defaults.retry, retry),
  }
  requireNumbers('', settings, defaults)
  requireFit(settings)
  return Object.freeze(settings)
}

/** For how long a poll keeps the leases: others may see it a poll later, and are to have them within `leaseMs`. */
export function keptForMs({ leaseMs, pollIntervalMs }: Pick<RelaySettings, 'leaseMs' | 'pollIntervalMs'>): number {
  return leaseMs - pollIntervalMs
}

function requireFit(settings: RelaySettings): void {
  const {
    batchSize,
    batchBytes,
    leaseMs,
    pollIntervalMs,
    publishTimeoutMs,
    storeTimeoutMs,
    maxCrashes,
    onDead,
    retryFor,
  } = settings
  if (batchSize > largestBatch) throw notValid('batchSize', batchSize, `${largestBatch} or less`)
  if (batchBytes > largestBatchBytes) throw notValid('batchBytes', batchBytes, `${largestBatchBytes} or less`)
  const leastMs = 4 * pollIntervalMs
  const longestMs = keptForMs(settings) - pollIntervalMs
  if (leaseMs < leastMs) throw notValid('leaseMs', leaseMs, `${leastMs} or more: four polls must fit in it`)
  if (publishTimeoutMs > longestMs) {
    throw notValid('publishTimeoutMs', publishTimeoutMs, `${longestMs} or less: a publish must end within the lease`)
  }
  if (storeTimeoutMs > leaseMs) {
    throw notValid('storeTimeoutMs', storeTimeoutMs, `${leaseMs} or less: a poll must be answered within the lease`)
  }
  if (maxCrashes <= suspectAt) {
    throw notValid('maxCrashes', maxCrashes, `${suspectAt + 1} or more: only then has the entry been alone`)
  }
  if (onDead !== 'skip' && onDead !== 'block') throw notValid('onDead', onDead, "'skip' or 'block'")
  if (retryFor && typeof retryFor !== 'function') throw notValid('retryFor', retryFor, 'a function')
}

/** The rules of `base`, with those that are given in their place. @throws {OutboxError} `invalid-option` */
export function retryFrom(base: RetryRules, given: RetryOptions = {}): RetryRules {
  const retry = { ...base, ...knownOptions(of, given, defaults.retry, 'retry.') }
  requireNumbers('retry.', retry, defaults.retry)
  if (retry.maxDelayMs < retry.minDelayMs) {
    throw notValid('retry.maxDelayMs', retry.maxDelayMs, `${retry.minDelayMs} or more, as retry.minDelayMs`)
  }
  return retry
}

/** What a user of JavaScript left out would otherwise come to light in the middle of a batch. */
function requireMembers(name: string, value: unknown, instead: string, ...members: readonly string[]): void {
  for (const member of members) {
    if (!Reflect.get(Object(value), member)) throw invalidOption(of, name, `has no ${member}: ${instead}`)
  }
}

/** What is a number by default must be one: milliseconds where the name ends in `Ms`, a count elsewhere. */
function requireNumbers(prefix: string, settings: object, byDefault: object): void {
  for (const [name, number] of Object.entries(byDefault)) {
    if (typeof number !== 'number') continue
    const check = name.endsWith('Ms') ? requireTimer : requireCount
    check(of, prefix + name, Reflect.get(settings, name))
  }
}

function notValid(option: string, value: unknown, instead: string): OutboxError<'invalid-option'> {
  return invalidOption(of, option, `is ${shown(value)}: write ${instead}`)
}
