import type { DomainEvent, Enqueueable, JsonText } from '@outbox/core'
import type { Saboteur } from './run-check.ts'

/** Stores that give out something else than what was put in. */
export const contentSaboteurs: readonly Saboteur[] = [
  {
    breaks: 'isLate is never said',
    sabotage: (store) => ({
      fetch: async (request) => (await store.fetch(request)).map((entry) => ({ ...entry, isLate: false })),
    }),
    caughtBy: ['order.late-sequence'],
  },
  {
    breaks: 'everything requeued is called late',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({ ...entry, isLate: entry.deduplicationId.includes('#') })),
    }),
    caughtBy: ['dead-letters.requeue-is-not-late', 'dead-letters.requeue', 'order.late-sequence'],
  },
  {
    breaks: 'the payload is cut at U+0000',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({ ...entry, payload: entry.payload.split('\\u0000')[0] ?? '' })),
    }),
    caughtBy: ['exactness.nul'],
  },
  {
    breaks: 'times are kept in seconds, header names in small letters, ids without blanks',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({
          ...entry,
          aggregateId: entry.aggregateId.trim(),
          eventType: entry.eventType.normalize('NFD'),
          payload: entry.payload
            .normalize('NFC')
            .replace('\\ud83d', '\ufffd')
            .replace('e+21', 'e21')
            .replace('{}', 'null'),
          occurredAt: new Date(Math.floor(entry.occurredAt.getTime() / 1000) * 1000),
          headers: Object.fromEntries(Object.entries(entry.headers).map(([name, text]) => [name.toLowerCase(), text])),
        })),
    }),
    caughtBy: [
      'exactness.text',
      'exactness.lone-surrogate',
      'exactness.numbers',
      'exactness.shapes',
      'exactness.dates',
      'exactness.ids',
      'exactness.types',
      'exactness.headers',
    ],
  },
  {
    breaks: 'long payloads and deep ones are cut, numbers rounded',
    sabotage: (store) => ({
      fetch: async (request) =>
        (await store.fetch(request)).map((entry) => ({
          ...entry,
          payload: entry.payload.replace('[{"in":"bottom"}]', '[]').replace('["bottom"]', '[]').slice(0, 500_000),
          sequence: Math.fround(entry.sequence),
        })),
    }),
    caughtBy: [
      'exactness.large-payload',
      'exactness.deep-payload',
      'exactness.big-sequences',
      'limits.own-payload-limit',
    ],
  },
  {
    breaks: 'the entries that are lent share their dates with the outbox',
    sabotage: (store) => {
      const dates = new Map<string, Date>()
      return {
        fetch: async (request) =>
          (await store.fetch(request)).map((entry) => {
            const occurredAt = dates.get(entry.id) ?? entry.occurredAt
            dates.set(entry.id, occurredAt)
            return { ...entry, occurredAt }
          }),
      }
    },
    caughtBy: ['exactness.copies'],
  },
  {
    breaks: 'the outbox keeps the events of the caller, not copies of them',
    sabotage: (store) => {
      const given = new Map<string, DomainEvent>()
      return {
        enqueue: async (tx, events) => {
          const batch: readonly Enqueueable[] = Array.isArray(events) ? events : [events]
          const receipts = await store.enqueue(tx, batch)
          for (const [index, event] of batch.entries()) {
            if (!('eventType' in event)) given.set(receipts[index]?.id ?? '', event)
          }
          return receipts
        },
        fetchUnpublished: async (limit) =>
          (await store.fetchUnpublished(limit)).map((entry) => {
            const { payload, occurredAt = entry.occurredAt } = given.get(entry.id) ?? {}
            // `as`: JSON text is branded, and this is how it is made
            return { ...entry, occurredAt, payload: JSON.stringify(payload) as JsonText }
          }),
      }
    },
    caughtBy: ['exactness.own-copy'],
  },
]
