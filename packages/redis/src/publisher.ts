import { type DueEntry, type Publisher, type PublishOutcome, permanent, systemClock } from '@outbox/core'
import { aggregateKey, callbackFailed, called, groupByAggregate, refusal } from '@outbox/core/adapter'
import { scriptCall } from './call.ts'
import { checkSetup } from './check.ts'
import { becomesReady, notConnected } from './client.ts'
import { withOutage } from './errors.ts'
import { type Interruption, watchForInterruption } from './interruption.ts'
import { type StreamKeys, streamKeys } from './keys.ts'
import { type RedisPublisherOptions, type RedisSettings, settingsFrom } from './options.ts'
import { probe } from './probe.ts'
import { type RunScript, scriptRunner } from './run-script.ts'
import { send } from './send.ts'
import { TroubledStreams } from './troubled-streams.ts'
import { type Group, nextWave, type Wave } from './waves.ts'

/** Well below the 512 MB that Redis takes for one value: a larger one would break the connection, not be refused. */
const maxPayloadBytes = 64 * 1024 * 1024
/** Well below the 3,990 or so that a script can hand to XADD: `enqueue` takes 64, but rows can be written past it. */
const maxHeaders = 1_000

/**
 * Makes a publisher to Redis Streams, through your ioredis client.
 *
 * Every stream of a batch is written by one script call, in order per aggregate; an aggregate stops at its first
 * failure. A repeat of an entry within `dedupeWindowMs` is dropped. A relay that lost its lease is refused from the
 * new owner's first write to that partition and stream on, whatever it or its client still has in hand.
 *
 * Any number of calls may run at once. What was sent and not answered is `unknown`; without a connection nothing is
 * sent, and nothing left in the client's queue, and the outcome is `unavailable`.
 *
 * @throws {OutboxError} `invalid-option`, saying what to write instead
 *
 * @example
 * ```ts
 * redisPublisher({ client: new Redis(), stream: (entry) => `events:${entry.aggregateType}` })
 * ```
 */
export function redisPublisher(options: RedisPublisherOptions): Publisher {
  const settings = settingsFrom(options)
  const { client, name, stream, dedupeWindowMs } = settings
  const keysOf = (streamName: string): StreamKeys => streamKeys(streamName, client.options.keyPrefix)
  const streamOf = (entry: DueEntry): string => {
    requireSize(entry, name)
    requireFewHeaders(entry, name)
    return keysOf(typeof stream === 'string' ? stream : streamFrom(stream, entry)).stream
  }
  const fixed = typeof stream === 'string' ? [keysOf(stream)] : undefined
  const troubled = new TroubledStreams(systemClock)
  const run = scriptRunner(settings)

  return {
    name,
    capabilities: { keepsOrderInBatch: true, dedupeWindowMs, maxPayloadBytes },

    async publish(entries, { signal }) {
      const outcomes = new Array<PublishOutcome>(entries.length).fill({ status: 'notSent' })
      const groups: Group[] = []
      let aggregates = groupByAggregate(entries)
      if (!(await becomesReady(client, signal))) {
        if (!signal.aborted) outcomes.fill({ status: 'unavailable', error: notConnected(client, name) })
        return stoppedAtFailure(entries, outcomes)
      }
      const interruption = watchForInterruption(client, signal)
      try {
        while (aggregates.length > 0 && !signal.aborted) {
          const wave = nextWave(entries, aggregates, streamOf)
          for (const { index, error } of wave.unroutable) {
            outcomes[index] = refusal(error)
          }
          groups.push(...wave.groups)
          await Promise.all(
            wave.groups.map((group) =>
              sendGroup(group, keysOf(group.stream), entries, outcomes, settings, run, interruption),
            ),
          )
          aggregates = remaining(aggregates, wave, outcomes)
        }
      } finally {
        interruption.dispose()
      }
      const judged = withOutage(outcomes, { isOnlyStream: fixed !== undefined })
      for (const { stream: streamName, indexes } of groups) {
        troubled.note(
          keysOf(streamName),
          indexes.map((index) => judged[index]),
        )
      }
      return stoppedAtFailure(entries, judged)
    },

    check: (call) => checkSetup(settings, fixed ?? [], call),

    async probe({ signal }) {
      const { all, taken, isTrialDue } = troubled
      const probed = fixed ? { streams: fixed, taken: fixed, isTrialDue: false } : { streams: all, taken, isTrialDue }
      await probe(settings, run, probed, signal)
      troubled.forget(probed.streams)
    },
  }
}

function streamFrom(stream: (entry: DueEntry) => unknown, entry: DueEntry): string {
  const callback = 'stream of redisPublisher'
  const streamName = called(callback, () => stream(entry))
  if (typeof streamName === 'string') return streamName
  throw callbackFailed(callback, `returned ${typeof streamName}, not a name`)
}

function requireSize({ payload }: DueEntry, name: string): void {
  // a character is three bytes at most: short payloads are not measured
  if (payload.length * 3 <= maxPayloadBytes) return
  const bytes = Buffer.byteLength(payload)
  if (bytes > maxPayloadBytes) {
    throw permanent(`The payload is ${bytes} bytes; '${name}' takes ${maxPayloadBytes} at most.`, { system: name })
  }
}

function requireFewHeaders({ headers }: DueEntry, name: string): void {
  const count = Object.keys(headers).length
  if (count > maxHeaders) {
    throw permanent(`The entry has ${count} headers; '${name}' takes ${maxHeaders} at most.`, { system: name })
  }
}

async function sendGroup(
  { indexes, source }: Group,
  keys: StreamKeys,
  entries: readonly DueEntry[],
  outcomes: PublishOutcome[],
  settings: RedisSettings,
  run: RunScript,
  interruption: Interruption,
): Promise<void> {
  const group = indexes.flatMap((index) => entries[index] ?? [])
  const sent = await send(scriptCall(group, source, keys, settings), group.length, settings, run, interruption)
  indexes.forEach((index, place) => {
    const outcome = sent[place]
    if (outcome !== undefined) outcomes[index] = outcome
  })
}

/**
 * A publisher promises that an aggregate stops at its first entry that is not published: what stands behind it is
 * `notSent`. But it stays `unknown` where it was sent together with that entry, and neither was confirmed.
 */
function stoppedAtFailure(
  entries: readonly DueEntry[],
  outcomes: readonly PublishOutcome[],
): readonly PublishOutcome[] {
  const stopped = new Set<string>()
  return outcomes.map((outcome, index) => {
    const entry = entries[index]
    if (entry === undefined) return outcome
    const key = aggregateKey(entry)
    if (stopped.has(key)) return outcome.status === 'unknown' ? outcome : { status: 'notSent' }
    if (outcome.status !== 'published') stopped.add(key)
    return outcome
  })
}

/** The aggregates that go on in the next wave: those that have entries left, and none that failed. */
function remaining(
  aggregates: readonly (readonly number[])[],
  { taken }: Wave,
  outcomes: readonly PublishOutcome[],
): readonly (readonly number[])[] {
  return aggregates.flatMap((indexes, i) => {
    const count = taken[i] ?? 0
    const isThrough = indexes.slice(0, count).every((index) => outcomes[index]?.status === 'published')
    return count > 0 && isThrough && indexes.length > count ? [indexes.slice(count)] : []
  })
}
