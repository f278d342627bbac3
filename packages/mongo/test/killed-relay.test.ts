import { event } from '@outbox/core'
import { mongoOutbox, setup } from '@outbox/mongo'
import { describeWith, sharedMongo, spawnNode, waitFor } from '@outbox/services'
import { expect, it } from 'vitest'
import { openDriver7, transaction } from './mongo-databases.ts'

interface Published {
  readonly id: string
  readonly aggregateId: string
  readonly sequence: number
}

const aggregates = Array.from({ length: 20 }, (_, n) => `a-${n}`)
const perAggregate = 15

describeWith('mongo', 'relays that are killed', () => {
  it('leave nothing locked and nothing behind: the next one goes on, in order, and producers never wait', async () => {
    const url = await sharedMongo()
    await using own = openDriver7(url)
    await setup(own.db)
    const outbox = mongoOutbox(own)
    const produce = (count: number) =>
      transaction(own.client, (session) =>
        outbox.enqueue(
          session,
          aggregates.flatMap((aggregateId) =>
            Array.from({ length: count }, () => event('order.placed', { aggregateId, payload: { n: count } })),
          ),
        ),
      )
    await produce(perAggregate - 3)
    const published: Published[] = []
    for (const deaths of [60, 90, 30]) {
      await using relay = spawnNode(`${import.meta.dirname}/children/relay.ts`, [url, own.db.databaseName])
      for (let seen = 0; seen < deaths; seen++) published.push(publishedIn(await relay.next()))
      await relay.kill()
      published.push(...relay.messages.slice(deaths).map(publishedIn))
      await produce(1)
    }
    await using last = spawnNode(`${import.meta.dirname}/children/relay.ts`, [url, own.db.databaseName])
    // what a relay published and settled before it died does not come again
    const ids = new Set(published.map(({ id }) => id))
    while (ids.size < aggregates.length * perAggregate) {
      const entry = publishedIn(await last.next())
      published.push(entry)
      ids.add(entry.id)
    }
    await waitFor(async () => (await outbox.stats()).pending === 0, { what: 'the last settle' })
    expect(await outbox.deadLetters.list({ limit: 10 })).toEqual([])
    for (const aggregateId of aggregates) {
      const seen = new Set<number>()
      for (const entry of published) if (entry.aggregateId === aggregateId) seen.add(entry.sequence)
      // a set keeps the order in which its members came: first deliveries ascend
      expect([...seen], aggregateId).toEqual(Array.from({ length: perAggregate }, (_, n) => n + 1))
    }
  })
})

function publishedIn(message: unknown): Published {
  if (typeof message !== 'object' || message === null) throw new TypeError('the relay says something else')
  const { id, aggregateId, sequence } = message as Record<string, unknown>
  if (typeof id !== 'string' || typeof aggregateId !== 'string' || typeof sequence !== 'number') {
    throw new TypeError('the relay says something else')
  }
  return { id, aggregateId, sequence }
}
