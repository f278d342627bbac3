import { type DueEntry, OutboxError, type Publisher, type PublishOutcome, unavailable } from '@outbox/core'
import { groupByAggregate } from '@outbox/core/adapter'
import { type Answer, maxPayloadBytes } from './broker.ts'
import { messageOf } from './message.ts'

// #region publisher
/** Publishes to the broker at `url`, with one request for many aggregates. */
export function httpPublisher({ url }: { readonly url: string }): Publisher {
  return {
    name: 'http',
    capabilities: { maxPayloadBytes, dedupeWindowMs: 24 * 3_600_000, keepsOrderInBatch: true },

    async publish(entries, { signal }) {
      const outcomes = new Array<PublishOutcome>(entries.length).fill({ status: 'notSent' })
      let groups = groupByAggregate(entries)
      // The first entry of every aggregate in one request, then the second, and so on: an answer that is lost leaves
      // one entry of an aggregate in doubt, never one behind another.
      for (let place = 0; groups.length > 0 && !signal.aborted; place++) {
        const wave = groups.flatMap((group) => group.slice(place, place + 1))
        const sent = await send(
          url,
          wave.flatMap((index) => entries[index] ?? []),
          signal,
        )
        wave.forEach((index, n) => {
          outcomes[index] = sent[n] ?? { status: 'unknown', error: new Error('the broker left an answer out') }
        })
        groups = groups.filter(
          (group) => group.length > place + 1 && outcomes[group[place] ?? -1]?.status === 'published',
        )
      }
      return outcomes
    },

    async probe({ signal }) {
      await reach(url, { method: 'HEAD', signal: signal ?? null })
    },
  }
}

/** One request. Never rejects: what went wrong is the outcome of each of its entries. */
async function send(
  url: string,
  entries: readonly DueEntry[],
  signal: AbortSignal,
): Promise<readonly PublishOutcome[]> {
  try {
    const body = JSON.stringify(entries.map(messageOf))
    const response = await reach(url, { method: 'POST', body, signal })
    const answers = (await response.json()) as readonly Answer[]
    return answers.map(outcomeOf)
  } catch (error) {
    const status = OutboxError.is(error, 'unavailable') ? 'unavailable' : 'unknown'
    return entries.map(() => ({ status, error }))
  }
}

/**
 * For messages and for the probe, so that the probe fails whenever publishing would.
 *
 * @throws {OutboxError} `unavailable` when nothing was stored: there was no connection, or the answer is 429 or 503
 * @throws for whatever else is no success, a gateway's 502 and 504 among it: the broker may have the messages
 */
async function reach(url: string, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request).catch((cause: unknown) => {
    throw neverReached(cause) ? unavailable('the broker cannot be reached', { cause }) : cause
  })
  const { ok, status } = response
  if (status === 429 || status === 503) throw unavailable(`the broker answered ${status}`)
  if (!ok) throw new Error(`the broker answered ${status}`)
  return response
}

function outcomeOf(answer: Answer): PublishOutcome {
  switch (answer.status) {
    case 'stored':
      return { status: 'published' }
    case 'duplicate':
      return { status: 'published', duplicate: true }
    case 'fenced':
      return { status: 'fenced', epoch: answer.epoch }
    case 'refused':
      return { status: 'retry', error: new Error('the broker refused the message') }
    case 'tooLarge':
      return { status: 'reject', error: new Error(`the broker takes ${maxPayloadBytes} bytes of payload at most`) }
  }
}

/** No connection was made, so nothing was sent. Whatever else goes wrong may have gone wrong behind the broker. */
function neverReached(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
}
// #endregion
