import type { DueEntry, Publisher, PublishOutcome } from '@outbox/core'
import { type RecordingPublisher, recordingPublisher } from '../../src/index.ts'
import type { PublisherSabotage } from './publisher-harness.ts'

export interface PublisherSaboteur {
  readonly breaks: string
  readonly sabotage: PublisherSabotage
  /** ids of the checks that must notice */
  readonly caughtBy: readonly string[]
}

export const publisherSaboteurs: readonly PublisherSaboteur[] = [
  {
    breaks: 'it has no name',
    sabotage: () => ({ name: '' }),
    caughtBy: ['delivery.described'],
  },
  {
    breaks: 'its check finds fault with everything',
    sabotage: () => ({ check: () => Promise.reject(new Error('no such stream')) }),
    caughtBy: ['delivery.set-up'],
  },
  {
    breaks: 'it answers without sending',
    sabotage: () => ({ publish: async (entries) => entries.map(() => ({ status: 'published' })) }),
    caughtBy: [
      'delivery.one',
      'delivery.order-in-a-batch',
      'delivery.order-over-batches',
      'delivery.gaps',
      'delivery.large-batch',
      'delivery.side-by-side',
      'deduplication.repeat',
      'interruptions.aborted-meanwhile',
    ],
  },
  {
    breaks: 'an empty batch is a mistake',
    sabotage: (publisher) => ({
      publish: (entries, options) =>
        entries.length === 0 ? Promise.reject(new Error('empty batch')) : publisher.publish(entries, options),
    }),
    caughtBy: ['delivery.none'],
  },
  {
    breaks: 'an outcome is missing',
    sabotage: (publisher) => answering(publisher, (outcomes) => outcomes.slice(1)),
    caughtBy: ['delivery.one', 'failures.one-aggregate'],
  },
  {
    breaks: 'outcomes come in another order',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) => outcomes.toSorted((a, b) => (a.status < b.status ? -1 : 1))),
    caughtBy: ['failures.one-aggregate', 'failures.too-large'],
  },
  {
    breaks: 'the batch is sent backwards',
    sabotage: (publisher) => sending(publisher, (entries) => entries.toReversed()),
    caughtBy: ['delivery.order-in-a-batch'],
  },
  {
    breaks: 'everything is sent twice',
    sabotage: (publisher) => ({
      publish: async (entries, options) => {
        await publisher.publish(
          entries.map((entry) => ({ ...entry, deduplicationId: crypto.randomUUID() })),
          options,
        )
        return publisher.publish(entries, options)
      },
    }),
    caughtBy: ['delivery.one', 'delivery.order-over-batches'],
  },
  {
    breaks: 'what has a lower sequence than the last is dropped',
    sabotage: (publisher) => {
      let last = -1
      return {
        publish: async (entries, options) => {
          const outcomes: PublishOutcome[] = []
          for (const entry of entries) {
            if (entry.sequence < last) outcomes.push({ status: 'published', duplicate: true })
            else outcomes.push(...(await publisher.publish([entry], options)))
            last = Math.max(last, entry.sequence)
          }
          return outcomes
        },
      }
    },
    caughtBy: ['delivery.late-sequence'],
  },
  {
    breaks: 'a gap is waited for',
    sabotage: (publisher) => ({
      publish: async (entries, options) =>
        entries.some(({ sequence }) => sequence === 1000)
          ? entries.map(() => ({ status: 'retry', error: new Error('gap') }))
          : publisher.publish(entries, options),
    }),
    caughtBy: ['delivery.gaps'],
  },
  {
    breaks: 'a call while another runs is refused',
    sabotage: (publisher) => {
      let running = 0
      return {
        publish: async (entries, options) => {
          running += 1
          try {
            if (running > 1) return entries.map(() => ({ status: 'retry', error: new Error('busy') }))
            return await publisher.publish(entries, options)
          } finally {
            running -= 1
          }
        },
      }
    },
    caughtBy: ['delivery.side-by-side'],
  },
  {
    breaks: 'the payload is parsed and written anew',
    sabotage: (publisher) =>
      sending(publisher, (entries) => entries.map((e) => ({ ...e, payload: JSON.stringify(JSON.parse(e.payload)) }))),
    caughtBy: ['exactness.payloads'],
  },
  {
    breaks: 'ids, types and header names are made plain, times cut to seconds',
    sabotage: (publisher) =>
      sending(publisher, (entries) =>
        entries.map((entry) => ({
          ...entry,
          aggregateId: entry.aggregateId.replace(/[^\w-]/g, '_'),
          aggregateType: entry.aggregateType.replace(/[^\w-]/g, '_'),
          occurredAt: new Date(Math.floor(entry.occurredAt.getTime() / 1000) * 1000),
          headers: Object.fromEntries(Object.entries(entry.headers).map(([name, text]) => [name.toLowerCase(), text])),
        })),
      ),
    caughtBy: ['exactness.envelope', 'exactness.ids', 'exactness.types', 'exactness.headers'],
  },
  {
    breaks: 'it does not say how long it drops repeats',
    sabotage: () => ({ capabilities: { keepsOrderInBatch: true } }),
    caughtBy: ['deduplication.window', 'failures.too-large'],
  },
  {
    breaks: 'repeats are not dropped',
    sabotage: (publisher) =>
      sending(publisher, (entries) => entries.map((entry) => ({ ...entry, deduplicationId: crypto.randomUUID() }))),
    caughtBy: ['deduplication.repeat', 'deduplication.from-another-process', 'deduplication.step-back'],
  },
  {
    breaks: 'a duplicate is a failure',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.map((each) =>
          each.status === 'published' && each.duplicate ? { status: 'retry', error: new Error('duplicate') } : each,
        ),
      ),
    caughtBy: ['deduplication.repeat', 'deduplication.step-back', 'deduplication.from-another-process'],
  },
  {
    breaks: 'repeats are told by the event id, a requeued letter too',
    sabotage: (publisher) =>
      sending(publisher, (entries) => entries.map((entry) => ({ ...entry, deduplicationId: entry.id }))),
    caughtBy: ['deduplication.another-life'],
  },
  {
    breaks: 'the id is remembered before the broker has taken the message',
    sabotage: (publisher) => {
      const seen = new Set<string>()
      return {
        publish: async (entries, options) => {
          const fresh = entries.filter(({ deduplicationId }) => !seen.has(deduplicationId))
          for (const { deduplicationId } of entries) seen.add(deduplicationId)
          const outcomes = await publisher.publish(fresh, options)
          return entries.map((entry) => outcomes[fresh.indexOf(entry)] ?? { status: 'published', duplicate: true })
        },
      }
    },
    caughtBy: ['failures.another-try', 'interruptions.nothing-behind-our-back', 'interruptions.silent-then-back'],
  },
  {
    breaks: 'one failure fails the batch',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.every(({ status }) => status === 'published')
          ? outcomes
          : outcomes.map(() => ({ status: 'retry', error: new Error('the batch failed') })),
      ),
    caughtBy: ['failures.one-aggregate', 'failures.too-large', 'failures.stops-its-aggregate'],
  },
  {
    breaks: 'an aggregate goes on behind its failure',
    sabotage: (publisher) => ({
      publish: async (entries, options) => {
        const outcomes: PublishOutcome[] = []
        for (const entry of entries) outcomes.push(...(await publisher.publish([entry], options)))
        return outcomes
      },
    }),
    caughtBy: ['failures.stops-its-aggregate', 'fencing.late-write'],
  },
  {
    breaks: 'what is too large is tried again for ever',
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.map((each) => (each.status === 'reject' ? { status: 'retry', error: each.error } : each)),
      ),
    caughtBy: ['failures.too-large'],
  },
  {
    breaks: 'it says that it takes one byte more than it does',
    sabotage: ({ capabilities }) => ({
      capabilities: { ...capabilities, maxPayloadBytes: (capabilities.maxPayloadBytes ?? 0) + 1 },
    }),
    caughtBy: ['failures.as-large-as-allowed'],
  },
  {
    breaks: 'nobody is fenced',
    sabotage: (publisher) =>
      sending(publisher, (entries) => entries.map((entry) => ({ ...entry, source: crypto.randomUUID() }))),
    caughtBy: [
      'fencing.late-write',
      'fencing.after-a-restart',
      'fencing.whole-partition',
      'fencing.same-epoch-other-holder',
    ],
  },
  {
    breaks: 'who is fenced is told its own epoch',
    sabotage: (publisher) => ({
      publish: async (entries, options) =>
        (await publisher.publish(entries, options)).map((each, index) =>
          each.status === 'fenced' ? { ...each, epoch: entries[index]?.lease.epoch ?? 0 } : each,
        ),
    }),
    caughtBy: ['fencing.newest-epoch'],
  },
  {
    breaks: 'a late repeat of an older owner arrives',
    sabotage: (publisher) =>
      sending(publisher, (entries) =>
        entries.map((entry) => ({ ...entry, source: crypto.randomUUID(), deduplicationId: crypto.randomUUID() })),
      ),
    caughtBy: ['fencing.before-deduplication'],
  },
  {
    breaks: 'epochs are compared over all partitions and outboxes, and only a small step is believed',
    sabotage: () => {
      let highest = 0
      const inner = recordingPublisher()
      return {
        publish: async (entries, options) => {
          const outcomes: PublishOutcome[] = []
          for (const entry of entries) {
            const { epoch } = entry.lease
            if (epoch < highest || epoch > highest + 100) outcomes.push({ status: 'fenced', epoch: highest })
            else outcomes.push(...(await inner.publish([entry], options)))
            highest = Math.max(highest, epoch)
          }
          return outcomes
        },
      }
    },
    caughtBy: ['fencing.own-partition-only', 'fencing.other-outbox', 'fencing.newer-owner'],
  },
  {
    breaks: 'signals are ignored',
    sabotage: (publisher) => ({
      publish: (entries) => publisher.publish(entries, { signal: new AbortController().signal }),
    }),
    caughtBy: ['interruptions.aborted-before', 'interruptions.silent-broker', 'interruptions.silent-then-back'],
  },
  {
    breaks: 'after an abort everything is called not sent',
    sabotage: (publisher) => ({
      publish: async (entries, options) => {
        const outcomes = await publisher.publish(entries, { signal: new AbortController().signal })
        return options.signal.aborted ? entries.map(() => ({ status: 'notSent' })) : outcomes
      },
    }),
    caughtBy: ['interruptions.aborted-meanwhile'],
  },
  {
    breaks: 'an abort ends the publisher for good',
    sabotage: (publisher) => {
      let isOver = false
      return {
        publish: (entries, options) => {
          options.signal.addEventListener('abort', () => {
            isOver = true
          })
          return isOver ? Promise.reject(new Error('closed')) : publisher.publish(entries, options)
        },
      }
    },
    caughtBy: ['interruptions.aborted-after'],
  },
  {
    breaks: "an outage is the entry's fault",
    sabotage: (publisher) =>
      answering(publisher, (outcomes) =>
        outcomes.map((each) => (each.status === 'unavailable' ? { status: 'retry', error: each.error } : each)),
      ),
    caughtBy: ['interruptions.away', 'interruptions.nothing-behind-our-back'],
  },
  {
    breaks: 'what could not be sent is buffered and sent later',
    sabotage: (publisher, isAway) => {
      let buffer: DueEntry[] = []
      return {
        publish: async (entries, options) => {
          if (isAway()) buffer = [...buffer, ...entries]
          else await publisher.publish(buffer.splice(0), options)
          return publisher.publish(entries, options)
        },
      }
    },
    caughtBy: ['interruptions.nothing-behind-our-back'],
  },
  {
    breaks: 'its probe always passes',
    sabotage: () => ({ probe: async () => undefined }),
    caughtBy: ['interruptions.probe-while-away'],
  },
  {
    breaks: 'its probe leaves a message',
    sabotage: (publisher) => ({
      probe: async () => {
        const { signal } = new AbortController()
        await publisher.publish([{ ...probeEntry, id: crypto.randomUUID() }], { signal })
      },
    }),
    caughtBy: ['interruptions.probe'],
  },
]

const probeEntry: DueEntry = {
  id: '',
  eventType: 'probe.sent',
  aggregateType: 'probe',
  aggregateId: 'probe',
  sequence: 1,
  occurredAt: new Date(0),
  payload: '{}',
  headers: {},
  lease: { partition: 0, epoch: 0, holder: 'probe' },
  source: 'probe',
  attempt: 1,
  crashes: 0,
  deduplicationId: 'probe',
  isLate: false,
}

function answering(
  publisher: RecordingPublisher,
  change: (outcomes: readonly PublishOutcome[]) => readonly PublishOutcome[],
): Pick<Publisher, 'publish'> {
  return { publish: async (entries, options) => change(await publisher.publish(entries, options)) }
}

function sending(
  publisher: RecordingPublisher,
  change: (entries: readonly DueEntry[]) => readonly DueEntry[],
): Pick<Publisher, 'publish'> {
  return { publish: (entries, options) => publisher.publish(change(entries), options) }
}
