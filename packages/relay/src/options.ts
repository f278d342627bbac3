import {
  type Clock,
  type LeasedSource,
  OutboxError,
  type OutboxSource,
  type Publisher,
  systemClock,
} from '@outbox/core'
import { type RelayListeners, relayEventNames } from './events.ts'
import type { RetryOptions } from './retry.ts'

export interface RelayOptions {
  /** any outbox store; one with only the three methods of the trait is relayed by one relay at a time */
  readonly store: LeasedSource | OutboxSource
  readonly publisher: Publisher
  readonly on?: RelayListeners

  /** entries per batch, default 500 */
  readonly batchSize?: number
  /** entries of one aggregate per batch, default 100: one busy aggregate does not fill the batch */
  readonly batchSizePerAggregate?: number
  /** payload bytes per batch, default 4 MiB; with `lanes`, what bounds the relay's memory */
  readonly batchBytes?: number
  /** batches at work side by side, default 4; each uses one database connection at a time */
  readonly lanes?: number

  /** at rest, milliseconds between two looks at the store, default 1,000; shorter while there is work */
  readonly pollIntervalMs?: number
  /** how long a silent relay keeps its partitions, default 10,000 ms; three polls must fit in it */
  readonly leaseMs?: number
  /** after which a publish without an answer is `unknown`, default 5,000 ms; must end within the lease */
  readonly publishTimeoutMs?: number
  /** after which a store's call without an answer has failed, default 5,000 ms */
  readonly storeTimeoutMs?: number
  /** how long `stop` waits for what is in flight, default 10,000 ms */
  readonly drainMs?: number

  readonly retry?: RetryOptions
  /** how often a relay may die with one entry in its hands before it is a dead letter, default 5 */
  readonly maxCrashes?: number
  /**
   * What a dead letter does to its aggregate, default 'skip': the next entry goes on. 'block': the aggregate stands
   * still, in order, until somebody requeues or discards the dead letter.
   */
  readonly onDead?: 'skip' | 'block'

  /** for tests and simulations */
  readonly clock?: Clock
  /** 0 ≤ x < 1, for tests and simulations */
  readonly random?: () => number
  /** a fresh random token per call, for tests and simulations */
  readonly newHolder?: () => string
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
  readonly retry: Required<RetryOptions>
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
  maxCrashes: 5,
  onDead: 'skip',
  clock: systemClock,
  random: Math.random,
  newHolder: () => crypto.randomUUID(),
})

const counts = ['batchSize', 'batchSizePerAggregate', 'batchBytes', 'lanes', 'maxCrashes'] as const
const durations = ['pollIntervalMs', 'leaseMs', 'publishTimeoutMs', 'storeTimeoutMs', 'drainMs'] as const
const known: ReadonlySet<string> = new Set([...Object.keys(defaults), 'store', 'publisher', 'on'])

/**
 * Fills in the defaults and refuses what cannot work.
 *
 * @throws {OutboxError} `invalid-option`, saying what to write instead
 */
export function settingsFrom(options: RelayOptions): RelaySettings {
  requireKnown('', options, known)
  requireKnown('retry.', options.retry ?? {}, new Set(Object.keys(defaults.retry)))
  requireKnown('on.', options.on ?? {}, new Set(relayEventNames))
  requireMethod('store', options.store, 'fetchUnpublished', 'pass an outbox store, such as memoryOutbox()')
  requireMethod('publisher', options.publisher, 'publish', 'pass a publisher, such as publisher({ name, send })')
  const settings: RelaySettings = {
    ...defaults,
    ...withoutUndefined(options),
    retry: { ...defaults.retry, ...withoutUndefined(options.retry ?? {}) },
  }
  for (const name of counts) requireCount(name, settings[name])
  for (const name of durations) requireDuration(name, settings[name])
  requireCount('retry.maxAttempts', settings.retry.maxAttempts)
  requireDuration('retry.minDelayMs', settings.retry.minDelayMs)
  requireDuration('retry.maxDelayMs', settings.retry.maxDelayMs)
  requireFit(settings)
  return Object.freeze(settings)
}

function requireFit({ leaseMs, pollIntervalMs, publishTimeoutMs, retry, onDead }: RelaySettings): void {
  if (leaseMs < 3 * pollIntervalMs) {
    throw invalid(
      'leaseMs',
      `is ${leaseMs}: three polls of ${pollIntervalMs} ms must fit in it, so ${3 * pollIntervalMs} at least`,
    )
  }
  if (publishTimeoutMs + pollIntervalMs > leaseMs) {
    throw invalid(
      'publishTimeoutMs',
      `is ${publishTimeoutMs}: a publish must end within the lease, so ${leaseMs - pollIntervalMs} at most (leaseMs - pollIntervalMs)`,
    )
  }
  if (retry.maxDelayMs < retry.minDelayMs) throw invalid('retry.maxDelayMs', 'is below retry.minDelayMs')
  if (onDead !== 'skip' && onDead !== 'block') throw invalid('onDead', "is neither 'skip' nor 'block'")
}

function requireKnown(prefix: string, options: object, names: ReadonlySet<string>): void {
  for (const name of Object.keys(options)) {
    if (!names.has(name)) throw invalid(prefix + name, `is not an option; there are: ${[...names].join(', ')}`)
  }
}

function requireMethod(name: string, value: unknown, method: string, instead: string): void {
  const isThere = typeof value === 'object' && value !== null && method in value
  if (!isThere) throw invalid(name, `has no ${method}(): ${instead}`)
}

function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) throw invalid(name, `is ${value}: write a whole number from 1 on`)
}

function requireDuration(name: string, value: number): void {
  if (!Number.isFinite(value) || value < 1 || value > 2 ** 31 - 1) {
    throw invalid(name, `is ${value}: write milliseconds, from 1 to ${2 ** 31 - 1}`)
  }
}

function withoutUndefined<Options extends object>(options: Options): Partial<Options> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Options>
}

function invalid(option: string, problem: string): OutboxError<'invalid-option'> {
  return new OutboxError('invalid-option', `createRelay: ${option} ${problem}.`, { option })
}
