import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeMessage } from './message.ts'

/** Every message in the stream, in the order of arrival. */
export async function readAll(url: string): Promise<readonly ReceivedEntry[]> {
  const response = await fetch(url)
  const messages: unknown = await response.json()
  if (!Array.isArray(messages)) throw new TypeError('The broker gave no list of messages.')
  return messages.map(decodeMessage)
}
