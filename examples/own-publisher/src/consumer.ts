import type { ReceivedEntry } from '@outbox/core/wire'
import { decodeMessage, type Message } from './message.ts'

/** Every message in the stream, in the order of arrival. */
export async function readAll(url: string): Promise<readonly ReceivedEntry[]> {
  const response = await fetch(url)
  // `as`: only this example's publisher writes to the broker
  const messages = (await response.json()) as readonly Message[]
  return messages.map(decodeMessage)
}
