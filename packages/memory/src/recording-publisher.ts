import type { Awaitable, DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import { aggregateKey, invalidOption, knownOptions, requireCount } from '@outbox/core/adapter'

/**
 * What the script lets happen to an entry; nothing means published.
 *
 * `arrived: true` on an `unknown`: the broker has the entry, only its answer was lost.
 */
export type ScriptedOutcome =
  | PublishOutcome
  | { readonly status: 'unknown'; readonly error: unknown; readonly arrived: boolean }
  | undefined

export type PublisherScript = (entry: DueEntry, options: { readonly signal: AbortSignal }) => Awaitable<ScriptedOutcome>

export interface RecordingPublisherOptions {
  /** default `recording` */
  readonly name?: string | undefined
  /** default true: an entry whose `deduplicationId` was published is answered as a duplicate and not kept again */
  readonly deduplicates?: boolean | undefined
  /** default false; true: an entry under a lease older than the newest seen of its partition is `fenced` */
  readonly fences?: boolean | undefined
  /** larger payloads are rejected; default no limit */
  readonly maxPayloadBytes?: number | undefined
}

export interface RecordingPublisher extends Publisher {
  /** what the broker would hold: entries in the order they arrived */
  readonly published: readonly DueEntry[]
  /** every entry that was sent, refused ones included; not those that were `notSent` */
  readonly sent: readonly DueEntry[]
}

/**
 * A publisher that keeps what it is given, for tests of relays and of code around them.
 *
 * It holds the contract of `Publisher`: order, one outcome per entry, an aggregate stops at its first failure. The
 * script is asked for each entry, one after the other, and may wait. If it throws, `publish` rejects as a whole.
 *
 * @throws {OutboxError} `invalid-option`
 */
export function recordingPublisher(
  script?: PublisherScript,
  options: RecordingPublisherOptions = {},
): RecordingPublisher {
  const of = 'recordingPublisher'
  const given = knownOptions(of, options, { name: true, deduplicates: true, fences: true, maxPayloadBytes: true })
  const { name = 'recording', deduplicates = true, fences = false, maxPayloadBytes } = given
  if (script !== undefined && typeof script !== 'function') throw invalidOption(of, 'script', 'must be a function')
  if (maxPayloadBytes !== undefined) requireCount(of, 'maxPayloadBytes', maxPayloadBytes)
  const published: DueEntry[] = []
  const sent: DueEntry[] = []
  const seen = new Set<string>()
  const fence = new Map<string, { readonly epoch: number; readonly holder: string }>()

  const refusal = (entry: DueEntry): PublishOutcome | undefined => {
    if (maxPayloadBytes !== undefined && new TextEncoder().encode(entry.payload).byteLength > maxPayloadBytes) {
      return { status: 'reject', error: new Error(`The payload is larger than ${maxPayloadBytes} bytes.`) }
    }
    if (!fences) return undefined
    const key = `${entry.source} ${entry.lease.partition}`
    const newest = fence.get(key)
    const { epoch, holder } = entry.lease
    if (epoch === 0) return undefined // under the lease of a store without leases: nothing to compare
    if (newest && (newest.epoch > epoch || (newest.epoch === epoch && newest.holder !== holder))) {
      return { status: 'fenced', epoch: newest.epoch }
    }
    fence.set(key, { epoch, holder })
    return undefined
  }

  const arrive = (entry: DueEntry): boolean => {
    const isDuplicate = deduplicates && seen.has(entry.deduplicationId)
    if (!isDuplicate) published.push(entry)
    seen.add(entry.deduplicationId)
    return isDuplicate
  }

  const send = async (entry: DueEntry, signal: AbortSignal): Promise<PublishOutcome> => {
    sent.push(entry)
    const scripted = script && (await answerOrAborted(script(entry, { signal }), signal))
    if (scripted === aborted) return { status: 'unknown', error: signal.reason }
    if (scripted && scripted.status !== 'published') {
      if (scripted.status === 'unknown' && 'arrived' in scripted && scripted.arrived) arrive(entry)
      return scripted
    }
    const refused = refusal(entry)
    if (refused) return refused
    return arrive(entry) || scripted?.duplicate ? { status: 'published', duplicate: true } : { status: 'published' }
  }

  return {
    name,
    capabilities: {
      keepsOrderInBatch: true,
      ...(maxPayloadBytes === undefined ? {} : { maxPayloadBytes }),
      ...(deduplicates ? { dedupeWindowMs: Number.POSITIVE_INFINITY } : {}),
    },
    get published() {
      return [...published]
    },
    get sent() {
      return [...sent]
    },
    async publish(entries, { signal }) {
      const outcomes: PublishOutcome[] = []
      const stopped = new Set<string>()
      for (const entry of entries) {
        const key = aggregateKey(entry)
        const outcome: PublishOutcome =
          signal.aborted || stopped.has(key) ? { status: 'notSent' } : await send(entry, signal)
        if (outcome.status !== 'published') stopped.add(key)
        outcomes.push(outcome)
      }
      return outcomes
    },
  }
}

const aborted = Symbol('aborted')

/** The answer, or `aborted` if the signal comes first. No listener is left behind. */
async function answerOrAborted<T>(answer: Awaitable<T>, signal: AbortSignal): Promise<T | typeof aborted> {
  let stop = (): void => undefined
  const abort = new Promise<typeof aborted>((resolve) => {
    stop = () => resolve(aborted)
  })
  signal.addEventListener('abort', stop)
  try {
    return await Promise.race([answer, abort])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
