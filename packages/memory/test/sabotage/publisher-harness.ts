import type { OpenedPublisher } from '@outbox/conformance'
import { type DueEntry, type Publisher, unavailable } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { type RecordingPublisher, recordingPublisher, type ScriptedOutcome } from '../../src/index.ts'

/** What a broken publisher does otherwise than the recording one. `isAway` tells of an outage. */
export type PublisherSabotage = (publisher: RecordingPublisher, isAway: () => boolean) => Partial<Publisher>

/** The recording publisher with faults that the publisher suite can turn on, and what a saboteur makes of it. */
export function openRecordingPublisher(sabotage: PublisherSabotage = () => ({})): OpenedPublisher {
  const refused = new Set<string>()
  let mode: 'up' | 'away' | 'silent' = 'up'
  const script = (entry: DueEntry): ScriptedOutcome | Promise<ScriptedOutcome> => {
    if (mode === 'away') return { status: 'unavailable', error: unavailable('The broker is away.') }
    if (mode === 'silent') return new Promise(() => undefined)
    return refused.has(entry.aggregateId) ? { status: 'retry', error: new Error('Refused.') } : undefined
  }
  const recording = recordingPublisher(script, { fences: true, maxPayloadBytes: 1_048_576 })
  const publisher: Publisher = {
    ...recording,
    probe: async () => {
      if (mode !== 'up') throw unavailable('The broker is away.')
    },
    ...sabotage(recording, () => mode === 'away'),
  }
  const into = (next: 'away' | 'silent') => async () => {
    mode = next
    return async () => {
      mode = 'up'
    }
  }
  return {
    publisher,
    received: async () => recording.published.map(decoded),
    refuse: async (aggregateId) => {
      refused.add(aggregateId)
      return async () => void refused.delete(aggregateId)
    },
    outage: into('away'),
    silence: into('silent'),
    peer: async () => publisher,
    close: async () => undefined,
  }
}

function decoded(entry: DueEntry): ReceivedEntry {
  const { id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers, payload, lease } = entry
  const envelope = { id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers }
  return { ...envelope, epoch: lease.epoch, payload: JSON.parse(payload), payloadText: payload }
}
