// #region watch
import type { JetStreamManager } from '@nats-io/jetstream'

/**
 * What is wrong with a stream: it fills up, or `max_age` is about to delete what a consumer has not acknowledged.
 * Nothing, if all is well. Ask every few minutes, and wake somebody.
 */
export async function troublesOf(
  manager: JetStreamManager,
  stream: string,
  now: number = Date.now(),
): Promise<readonly string[]> {
  const { config, state } = await manager.streams.info(stream)
  const troubles: string[] = []
  if (config.max_bytes > 0 && state.bytes > 0.8 * config.max_bytes) {
    troubles.push(`${stream} is filled to ${Math.round((100 * state.bytes) / config.max_bytes)} %`)
  }
  const maxAgeMs = config.max_age / 1_000_000 // 0: for ever
  for await (const consumer of manager.consumers.list(stream)) {
    const waiting = consumer.num_pending + consumer.num_ack_pending
    if (maxAgeMs === 0 || waiting === 0) continue
    // of the server's API, though not of the client's types: the first from `seq` on with such a subject
    const query = { seq: consumer.ack_floor.stream_seq + 1, next_by_subj: consumer.config.filter_subject ?? '>' }
    const next = await manager.streams.getMessage(stream, query)
    if (next && now - next.time.getTime() > maxAgeMs / 2) {
      troubles.push(`${consumer.name} has ${waiting} messages to do, the oldest of ${next.time.toISOString()}`)
    }
  }
  return troubles
}
// #endregion
