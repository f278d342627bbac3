// #region webhook
import { type Publisher, permanent, publisher, unanswered, unavailable } from '@outbox/core'

/** Posts each entry to `url`. */
export function webhookPublisher(url: string): Publisher {
  return publisher({
    name: 'webhook',
    maxPayloadBytes: 256 * 1024,
    async send(entry, { signal }) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': entry.deduplicationId }
      const status = await statusOf(url, { method: 'POST', body: entry.payload, headers, signal })
      if (status === 413 || status === 422) throw permanent(`the webhook answered ${status}`) // a dead letter
      if (status >= 300) throw new Error(`the webhook answered ${status}`) // tried again later
    },
    async probe({ signal }) {
      await statusOf(url, { method: 'HEAD', ...(signal && { signal }) })
    },
  })
}

/** What is answered to `send` and to `probe`, which has to fail whenever `send` would. */
async function statusOf(url: string, request: RequestInit): Promise<number> {
  const status = await answerOf(url, request).catch((cause: unknown) => {
    throw neverReached(cause)
      ? unavailable('the webhook cannot be reached', { cause })
      : unanswered('the webhook did not answer', { cause })
  })
  if (status === 429 || status === 503) throw unavailable(`the webhook answered ${status}`) // nothing was stored
  if (status === 502 || status === 504) throw unanswered(`a gateway answered ${status}`) // it may have been
  return status
}

async function answerOf(url: string, request: RequestInit): Promise<number> {
  const { status, body } = await fetch(url, request)
  await body?.cancel() // an answer that nobody reads keeps its connection
  return status
}

/** No connection was made, so nothing was sent. */
function neverReached(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED'
}
// #endregion
