import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
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
      await fetch(url, { method: 'HEAD', signal: signal ?? null })
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
    const response = await fetch(url, { method: 'POST', body, signal })
    const answers = (await response.json()) as readonly Answer[]
    return answers.map(outcomeOf)
  } catch (error) {
    const status = neverReached(error) ? 'unavailable' : 'unknown'
    return entries.map(() => ({ status, error }))
  }
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
