import { randomUUID } from 'node:crypto'
import { partitionOf } from '@outbox/core'
import { stores } from '@outbox/end-to-end/stores'
import { createRelay } from '@outbox/relay'
import { describeWith } from '@outbox/services'
import { describe, expect, it } from 'vitest'
import { everythingIn } from '../src/everything.ts'
import { canary } from '../src/hostile.ts'
import { type OpenTables, openNats, openRedis, openTables, storesWithForeignRows } from '../src/systems.ts'

interface ForeignRow {
  readonly aggregateType?: string
  readonly aggregateId?: string
  readonly eventType?: string
  readonly headers?: string
  readonly payload?: string
}

/** Somebody who may insert into the tables, and does not use `enqueue`, which would have refused all of this. */
async function insert(victim: OpenTables, row: ForeignRow): Promise<string> {
  const {
    aggregateType = 'order',
    aggregateId = randomUUID(),
    eventType = 'order.placed',
    headers = '{}',
    payload = '{}',
  } = row
  const id = randomUUID()
  await victim.run(
    `insert into outbox_entries (id, partition, aggregate_type, aggregate_id, event_type, sequence, headers, payload)
     values (?, ?, ?, ?, ?, 1, ?, ?)`,
    [id, partitionOf(aggregateType, aggregateId), aggregateType, aggregateId, eventType, headers, payload],
  )
  if (victim.kind === 'sqlite') {
    await victim.run(
      `insert into outbox_pending (position, partition, aggregate_type, aggregate_id, sequence, payload_bytes)
       select position, partition, aggregate_type, aggregate_id, sequence, payload_bytes from outbox_entries where id = ?`,
      [id],
    )
  }
  return id
}

const breaks = 'a\r\nNats-Rollup: all\r\n\r\nPUB orders 0\r\n\r\n'
const header = (name: string, value = 'x'): string => JSON.stringify({ [name]: value })

/** Rows that would do harm if they were written to a protocol as they are. */
const hostileRows: readonly (readonly [what: string, row: ForeignRow])[] = [
  ['a line break in the name of a header', { headers: header(breaks) }],
  ['a colon in the name of a header', { headers: header('Nats-Rollup: all\r\nx') }],
  ['a header that empties the stream', { headers: header('Nats-Rollup', 'all') }],
  ['the same in other letters', { headers: header('nats-rollup', 'all') }],
  ['a header that claims another id', { headers: header('Nats-Msg-Id', 'somebody-elses') }],
  ['a header that claims a place in an atomic batch', { headers: header('Nats-Batch-Id', 'x') }],
  ["a header of the envelope's", { headers: header('Outbox-Aggregate-Id', 'somebody-elses') }],
  ["a header of CloudEvents'", { headers: header('ce-id', 'somebody-elses') }],
  ['a header without a name', { headers: header('') }],
  ['a name that is not ASCII', { headers: header('ä') }],
  ['a line break in the value of a header', { headers: header('x', breaks) }],
  ['U+0000 in the value of a header', { headers: header('x', 'a\u0000b') }],
  ['a line break in the id of an aggregate', { aggregateId: breaks }],
  ['a line break in the type of an aggregate', { aggregateType: breaks }],
  ['a line break in the type of an event', { eventType: breaks }],
  ['an event type that is no subject', { eventType: '..>.*' }],
  ['the separator of two names', { aggregateType: 'order\u001f1', aggregateId: '2' }],
  ['more in the payload than one value', { payload: '{}' }],
]

describe.each(storesWithForeignRows)('rows that somebody else wrote into %s', (store) => {
  const canRollUp = { allow_rollup_hdrs: true, deny_purge: false }
  const targets = [
    ['nats, headers', () => openNats({ format: 'headers' }, canRollUp)],
    ['nats, cloudevents', () => openNats({ format: 'cloudevents' }, canRollUp)],
    ['nats, structured', () => openNats({ format: 'cloudevents-structured' }, canRollUp)],
    ['redis, fields', () => openRedis({ format: 'fields' })],
    ['redis, cloudevents', () => openRedis({ format: 'cloudevents' })],
  ] as const

  describeWith([...stores[store].needs, 'redis', 'nats'], 'and a broker', () => {
    it.each(store === 'sqlite' ? targets : targets.slice(0, 1))(
      'harm no other message, and are delivered as they are or become dead letters: %s',
      async (_, open) => {
        await using victim = await openTables(store)
        await using target = await open()
        const { outbox } = victim.application
        const neighbours = ['before', 'after'].map((aggregateId) => ({
          type: 'order.placed',
          aggregateId,
          payload: { aggregateId },
        }))
        const relay = createRelay({ store: outbox, publisher: target.publisher })
        await victim.application.commit(...neighbours.slice(0, 1))
        await relay.tick()
        const ids = await Promise.all(hostileRows.map(([, row]) => insert(victim, row)))
        await victim.application.commit(...neighbours.slice(1))
        await relay.tick()

        const received = new Map((await target.read()).map((entry) => [entry.id, entry]))
        const letters = new Map((await outbox.deadLetters.list({ limit: 100 })).map((one) => [one.entry.id, one]))
        expect(await outbox.stats()).toMatchObject({ pending: 0 })
        for (const [place, [what, row]] of hostileRows.entries()) {
          const id = ids[place] ?? ''
          const entry = received.get(id)
          const letter = letters.get(id)
          if (letter) expect(letter.reason, what).toMatch(/header|subject/)
          else {
            expect(entry, what).toBeDefined()
            expect(entry, what).toMatchObject({
              ...(row.aggregateId === undefined ? {} : { aggregateId: row.aggregateId }),
              ...(row.aggregateType === undefined ? {} : { aggregateType: row.aggregateType }),
              ...(row.eventType === undefined ? {} : { eventType: row.eventType }),
              headers: JSON.parse(row.headers ?? '{}'),
            })
          }
        }
        const known = new Set([...ids, ...(await victim.application.committed())])
        expect([...received.keys()].filter((id) => !known.has(id))).toEqual([])
        expect(
          [...received.values()].filter(({ aggregateId }) => ['before', 'after'].includes(aggregateId)),
        ).toHaveLength(2)
      },
    )
  })

  describeWith(stores[store].needs, 'alone', () => {
    it('are told of as a defect, without their content, if their headers are none', async () => {
      await using victim = await openTables(store)
      for (const headers of ['[]', '1', '"x"', 'null', '{"x":1}', '{"x":{}}']) {
        await insert(victim, { headers, payload: JSON.stringify(canary) })
        const error: unknown = await victim.application.outbox.fetchUnpublished(10).catch((thrown: unknown) => thrown)
        expect(String(error), headers).toMatch(/Error: .*headers/)
        expect(everythingIn(error)).not.toContain(canary)
        await victim.run('delete from outbox_entries')
        if (store === 'sqlite') await victim.run('delete from outbox_pending')
      }
    })
  })
})
