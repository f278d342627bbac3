import { unavailable } from '@outbox/core'
import type { FullStreams } from './full-streams.ts'
import type { JetStreamApi } from './jetstream.ts'
import type { NatsSettings } from './options.ts'
import type { SubjectFence } from './subject-fence.ts'
import type { TroubledSubjects } from './troubled-subjects.ts'

/** What keeps note of failures that only publishing meets. */
interface Troubles {
  readonly fullStreams: FullStreams
  readonly troubledSubjects: TroubledSubjects
  readonly fence: SubjectFence | undefined
}

/**
 * Asks whether publishing makes sense: JetStream answers, a stream is there, one that was silent takes messages again,
 * what was forbidden is allowed, a stream that was full has room, and the fence finds what it looks for.
 *
 * One subject that no stream has taken, or that alone is forbidden, fails no probe: that is its entries' own trouble,
 * and they become dead letters.
 *
 * @throws {OutboxError} `unavailable` when not, or `setup-required` where waiting does not help
 */
export async function probeStreams(
  { stream, template, name: system }: NatsSettings,
  api: JetStreamApi,
  { fullStreams, troubledSubjects, fence }: Troubles,
  signal: AbortSignal,
): Promise<void> {
  if (stream !== undefined || template === undefined) {
    const path = stream === undefined ? 'INFO' : `STREAM.INFO.${stream}`
    const answer = await api.request(path, undefined, signal)
    if (answer.kind !== 'ok') throw api.notThere(path, answer)
  } else {
    const names = await api.streamNames(template.wildcard, signal)
    if (names.length === 0) throw unavailable(`${system}: no stream takes '${template.wildcard}'.`, { system })
  }
  fence?.requireOwnNames()
  await troubledSubjects.requireTakers(signal)
  await fullStreams.requireRoom(api, signal)
}
