import { describePublisher } from '@outbox/conformance'
import type { DueEntry } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { unavailable } from '@outbox/core'
import { recordingPublisher, type ScriptedOutcome } from '../src/index.ts'

describePublisher('recordingPublisher', {
  capabilities: {
    deduplicates: true,
    limitsPayload: true,
    fences: true,
    fencesPartitions: true,
    refuses: true,
    outage: true,
    silence: true,
  },
  async open() {
    const refused = new Set<string>()
    let mode: 'up' | 'away' | 'silent' = 'up'
    const script = (entry: DueEntry): ScriptedOutcome | Promise<ScriptedOutcome> => {
      if (mode === 'away') return { status: 'unavailable', error: unavailable('The broker is away.') }
      if (mode === 'silent') return new Promise(() => undefined)
      return refused.has(entry.aggregateId) ? { status: 'retry', error: new Error('Refused.') } : undefined
    }
    const publisher = recordingPublisher(script, { fences: true, maxPayloadBytes: 1_048_576 })
    const into = (next: 'away' | 'silent') => async () => {
      mode = next
      return async () => {
        mode = 'up'
      }
    }
    return {
      publisher,
      received: async () => publisher.published.map(decode),
      refuse: async (id) => {
        refused.add(id)
        return async () => void refused.delete(id)
      },
      outage: into('away'),
      silence: into('silent'),
      peer: async () => publisher,
      close: async () => undefined,
    }
  },
})

function decode({ lease, payload, id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers }: DueEntry): ReceivedEntry {
  return {
    ...{ id, eventType, aggregateType, aggregateId, sequence, occurredAt, headers },
    epoch: lease.epoch,
    payload: JSON.parse(payload),
    payloadText: payload,
  }
}
