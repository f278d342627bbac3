import { type DomainEvent, OutboxError } from '@outbox/core'
import type { ReceivedEntry } from '@outbox/core/wire'
import { stores } from '@outbox/end-to-end/stores'
import { createRelay } from '@outbox/relay'
import { describeWith } from '@outbox/services'
import { describe, expect, it } from 'vitest'
import { everythingIn } from '../src/everything.ts'
import { canary, hostileTexts, refusedTexts } from '../src/hostile.ts'
import { openNats, openRedis, openVictim, storesUnderAttack } from '../src/systems.ts'

const withoutSpaces = (text: string): string => text.replace(/[\s.]/gu, '') || 'x'

/** One event per text, with the text wherever an event can hold one. */
const hostileEvents: readonly DomainEvent[] = hostileTexts.map((text, place) => ({
  type: `${withoutSpaces(text)}.${place}`,
  aggregateType: `${place}${text}`,
  aggregateId: text,
  payload: { [text]: text, list: [text], place },
  headers: { place: String(place), text, __proto__x: text, ['__proto__']: text, constructor: text, toString: text },
}))

const contentOf = (event: DomainEvent | ReceivedEntry): object => ({
  type: 'type' in event ? event.type : event.eventType,
  aggregateType: event.aggregateType,
  aggregateId: event.aggregateId,
  // as entries, so that `__proto__` is compared too
  headers: Object.entries(event.headers ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  payload: JSON.stringify(event.payload),
})

/** All at its limit, of characters that take most room once they are encoded. */
const largestEvent: DomainEvent = {
  type: `${'ä'.repeat(63)}.${'ä'.repeat(63)}`,
  aggregateType: 'ä'.repeat(127),
  aggregateId: 'ä'.repeat(256),
  payload: { text: 'ä'.repeat(100_000) },
  headers: Object.fromEntries(
    Array.from({ length: 64 }, (_, place) => [`h${place}`.padEnd(4, '-'), 'ä'.repeat(126)] as const),
  ),
}

const inOrder = (received: readonly ReceivedEntry[]): readonly ReceivedEntry[] =>
  received.toSorted((a, b) => Number(a.headers['place']) - Number(b.headers['place']))

const targets = [
  ['redis', 'fields', () => openRedis({ format: 'fields' })],
  ['redis', 'cloudevents', () => openRedis({ format: 'cloudevents' })],
  ['redis', 'cloudevents-structured', () => openRedis({ format: 'cloudevents-structured' })],
  ['nats', 'headers', () => openNats({ format: 'headers' })],
  ['nats', 'headers, fenced', () => openNats({ fence: 'subject' })],
  ['nats', 'cloudevents', () => openNats({ format: 'cloudevents' })],
  ['nats', 'cloudevents-structured', () => openNats({ format: 'cloudevents-structured' })],
] as const

describe.each(storesUnderAttack)('hostile text in %s', (store) => {
  // what a publisher makes of an entry does not depend on the store: one store sees all the formats
  const onTheWay =
    store === 'sqlite' ? targets : targets.filter(([, format]) => format === 'fields' || format === 'headers')

  describeWith([...stores[store].needs, 'redis', 'nats'], 'on its way', () => {
    it.each(onTheWay)('arrives as it was enqueued: %s, %s', async (_broker, _format, open) => {
      await using victim = await openVictim(store)
      await using target = await open()
      await victim.application.commit(...hostileEvents)
      const relay = createRelay({ store: victim.application.outbox, publisher: target.publisher })
      const { published } = await relay.tick()
      expect(published).toBe(hostileEvents.length)
      expect(inOrder(await target.read()).map(contentOf)).toEqual(hostileEvents.map(contentOf))
      // nothing of it was run
      expect(await victim.application.committed()).toHaveLength(hostileEvents.length)
    })
  })

  if (store === 'sqlite') {
    describeWith(['redis', 'nats'], 'as much of it as an event may hold', () => {
      it.each(targets)('arrives: %s, %s', async (_broker, _format, open) => {
        await using victim = await openVictim(store)
        await using target = await open()
        await victim.application.commit(largestEvent)
        await createRelay({ store: victim.application.outbox, publisher: target.publisher }).tick()
        expect((await target.read()).map(contentOf)).toEqual([contentOf(largestEvent)])
      })
    })
  }

  describeWith(stores[store].needs, 'at the door', () => {
    it('is refused where it cannot be held exactly, by a typed error, before anything is written', async () => {
      await using victim = await openVictim(store)
      const good: DomainEvent = { type: 'order.placed', aggregateId: '1', payload: {} }
      for (const [what, text] of refusedTexts) {
        for (const [path, wrong] of Object.entries({
          aggregateId: { aggregateId: text },
          aggregateType: { aggregateType: text },
          type: { type: `order.${text}` },
          'headers["x"]': { headers: { x: text } },
          [`headers[${JSON.stringify(text)}]`]: { headers: { [text]: 'x' } },
          id: { id: text },
        })) {
          const bad = { ...good, payload: { canary }, ...wrong }
          const error: unknown = await victim.application.commit(good, bad).catch((thrown: unknown) => thrown)
          expect(OutboxError.is(error, 'invalid-event'), `${what} in ${path}: ${String(error)}`).toBe(true)
          expect(error).toMatchObject({ details: { index: 1, path } })
          expect(everythingIn(error)).not.toContain(canary)
        }
      }
      expect(await victim.application.outbox.fetchUnpublished(10)).toEqual([])
      expect(await victim.application.committed()).toEqual([])
    })

    it('is refused where it is too large', async () => {
      await using victim = await openVictim(store)
      const good: DomainEvent = { type: 'order.placed', aggregateId: '1', payload: {} }
      const many = Object.fromEntries(Array.from({ length: 65 }, (_, place) => [`h${place}`, '']))
      for (const [path, wrong] of Object.entries({
        aggregateId: { aggregateId: 'a'.repeat(513) },
        aggregateType: { aggregateType: '😀'.repeat(64) },
        type: { type: `order.${'a'.repeat(250)}` },
        headers: { headers: many },
        [`headers["${'a'.repeat(128)}"]`]: { headers: { ['a'.repeat(129)]: '' } },
        payload: { payload: canary.repeat(100_000) },
      })) {
        const error: unknown = await victim.application.commit({ ...good, ...wrong }).catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ code: 'invalid-event', details: { path, limit: expect.any(Number) } })
        expect(everythingIn(error)).not.toContain(canary)
      }
      const large = { headers: { a: 'x'.repeat(10_000), b: 'x'.repeat(10_000) } }
      await expect(victim.application.commit({ ...good, ...large })).rejects.toMatchObject({
        details: { path: 'headers' },
      })
      expect(await victim.application.outbox.fetchUnpublished(10)).toEqual([])
    })

    it('finds nothing, and changes nothing, as an id, a holder or a filter', async () => {
      await using victim = await openVictim(store)
      const { outbox } = victim.application
      await victim.application.commit({ type: 'order.placed', aggregateId: '1', payload: {} })
      for (const text of hostileTexts) {
        await outbox.markPublished([text])
        expect(await outbox.deadLetters.requeue([text])).toBe(0)
        expect(await outbox.deadLetters.discard([text])).toBe(0)
        expect(await outbox.deadLetters.list({ limit: 10, after: text })).toEqual([])
        const where = { aggregateId: text, aggregateType: text, eventType: text }
        expect(await outbox.deadLetters.list({ limit: 10, where })).toEqual([])
        expect(await outbox.deadLetters.requeueAll(where)).toBe(0)
        expect(await outbox.deadLetters.discardAll(where)).toBe(0)
        await outbox.join({ holder: text })
        expect((await outbox.poll({ holder: text })).relays.map(({ holder }) => holder)).toEqual([text])
        await outbox.release({ holder: text, leases: [], leave: true })
      }
      expect(await outbox.fetchUnpublished(10)).toHaveLength(1)
    })
  })
})
