import type { PublishOutcome } from '@outbox/core'
import { answering, type PublisherSaboteur, sending } from './changed-publisher.ts'

/** Publishers that lose, change, repeat or turn round what they are given. */
export const deliverySaboteurs: readonly PublisherSaboteur[] = [
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
]
