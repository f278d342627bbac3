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
  const filled = Math.max(shareOf(state.bytes, config.max_bytes), shareOf(state.messages, config.max_msgs))
  if (filled > 0.8) troubles.push(`${stream} is filled to ${Math.round(100 * filled)} %`)
  const maxAgeMs = config.max_age / 1_000_000 // 0: for ever
  for await (const consumer of manager.consumers.list(stream)) {
    const waiting = consumer.num_pending + consumer.num_ack_pending
    if (maxAgeMs === 0 || waiting === 0) continue
    const { filter_subject = '>', filter_subjects = [filter_subject] } = consumer.config
    const oldest = await oldestTime(manager, stream, consumer.ack_floor.stream_seq + 1, filter_subjects)
    if (now - oldest > maxAgeMs / 2) {
      troubles.push(`${consumer.name} has ${waiting} messages to do, the oldest of ${new Date(oldest).toISOString()}`)
    }
  }
  return troubles
}

/** Of a limit; what is not above 0 is none. */
function shareOf(used: number, limit: number): number {
  return limit > 0 ? used / limit : 0
}

/** When the first message from `seq` on with one of these subjects was stored; infinity: there is none. */
async function oldestTime(
  manager: JetStreamManager,
  stream: string,
  seq: number,
  subjects: readonly string[],
): Promise<number> {
  const times = subjects.map(async (next_by_subj) => {
    // of the server's API, though not of the client's types
    const next = await manager.streams.getMessage(stream, { seq, next_by_subj } as { seq: number })
    return next?.time.getTime() ?? Infinity
  })
  return Math.min(...(await Promise.all(times)))
}
// #endregion
