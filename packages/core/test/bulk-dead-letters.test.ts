import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { bulkDeadLetters } from '../src/adapter/index.ts'
import { type DeadLetter, type DeadLetterFilter, type DeadLetters, OutboxError } from '../src/index.ts'
import { dueEntry } from './due-entry.ts'

type ById = Pick<DeadLetters, 'list' | 'requeue' | 'discard'>

/** Dead letters in an array, and what was asked of them. */
class Graveyard implements ById {
  readonly calls: string[] = []
  readonly dead: Map<string, DeadLetter>
  /** ids in the order of enqueueing, dead or not: a place is kept */
  readonly places: readonly string[]

  constructor(count: number) {
    const letters = Array.from({ length: count }, (_, n) => letter(`letter-${n}`, n % 2 === 0 ? 'even' : 'odd'))
    this.dead = new Map(letters.map((each) => [each.entry.id, each]))
    this.places = [...this.dead.keys()]
  }

  async list({ after, limit, where = {}, signal }: Parameters<DeadLetters['list']>[0]): Promise<readonly DeadLetter[]> {
    signal?.throwIfAborted()
    this.calls.push(`list ${limit}`)
    const from = after === undefined ? 0 : this.places.indexOf(after) + 1
    return this.places
      .slice(from)
      .flatMap((id) => this.dead.get(id) ?? [])
      .filter(({ entry }) => where.aggregateId === undefined || entry.aggregateId === where.aggregateId)
      .slice(0, limit)
  }

  async requeue(ids: readonly string[]): Promise<number> {
    this.calls.push(`requeue ${ids.length}`)
    return ids.filter((id) => this.dead.delete(id)).length
  }

  async discard(ids: readonly string[]): Promise<number> {
    this.calls.push(`discard ${ids.length}`)
    return ids.filter((id) => this.dead.delete(id)).length
  }
}

function letter(id: string, aggregateId: string): DeadLetter {
  const { lease, source: _, isLate: __, ...entry } = dueEntry({ id, aggregateId })
  return {
    entry: { ...entry, partition: lease.partition },
    reason: 'poison',
    diedAt: new Date(0),
    holder: lease.holder,
  }
}

describe('bulkDeadLetters', () => {
  it.each(['requeue', 'discard'] as const)('%sAll changes all that fit, in pages, and nothing else', async (change) => {
    const graveyard = new Graveyard(500)
    expect(await bulkDeadLetters(graveyard)[`${change}All`]({ aggregateId: 'odd' })).toBe(250)
    expect([...graveyard.dead.values()].every(({ entry }) => entry.aggregateId === 'even')).toBe(true)
    expect(graveyard.dead.size).toBe(250)
    const sizes = graveyard.calls.filter((call) => call.startsWith(change))
    expect(sizes).toEqual([`${change} 100`, `${change} 100`, `${change} 50`])
  })

  it('an empty filter means all', async () => {
    const graveyard = new Graveyard(3)
    expect(await bulkDeadLetters(graveyard).requeueAll({})).toBe(3)
    expect(graveyard.dead.size).toBe(0)
  })

  it('changes nothing where nothing fits', async () => {
    const graveyard = new Graveyard(3)
    expect(await bulkDeadLetters(graveyard).discardAll({ aggregateId: 'nobody' })).toBe(0)
    expect(graveyard.calls).toEqual(['list 100'])
  })

  it('takes each letter once, though it dies again at its old place', async () => {
    const graveyard = new Graveyard(250)
    const letters = [...graveyard.dead.values()]
    const dyingAgain: ById = {
      list: (page) => graveyard.list(page),
      discard: (ids) => graveyard.discard(ids),
      async requeue(ids) {
        const count = await graveyard.requeue(ids)
        for (const each of letters) if (ids.includes(each.entry.id)) graveyard.dead.set(each.entry.id, each)
        return count
      },
    }
    expect(await bulkDeadLetters(dyingAgain).requeueAll({})).toBe(250)
  })

  it('relies on no place of a letter that it has changed', async () => {
    const graveyard = new Graveyard(250)
    const forgetful: ById = {
      requeue: (ids) => graveyard.requeue(ids),
      discard: (ids) => graveyard.discard(ids),
      list: async (page) => (page.after === undefined || graveyard.dead.has(page.after) ? graveyard.list(page) : []),
    }
    expect(await bulkDeadLetters(forgetful).discardAll({})).toBe(250)
  })

  it('counts what was changed here, not what another operator has changed meanwhile', async () => {
    const graveyard = new Graveyard(150)
    const contended: ById = {
      list: (page) => graveyard.list(page),
      requeue: (ids) => graveyard.requeue(ids),
      async discard(ids) {
        await graveyard.requeue(ids.slice(0, 10))
        return graveyard.discard(ids)
      },
    }
    expect(await bulkDeadLetters(contended).discardAll({})).toBe(130)
    expect(graveyard.dead.size).toBe(0)
  })

  it('is cut off by its signal between two steps: what was done stays done', async () => {
    const graveyard = new Graveyard(500)
    const controller = new AbortController()
    const reason = new Error('no longer wanted')
    const interrupted: ById = {
      list: (page) => graveyard.list(page),
      discard: (ids) => graveyard.discard(ids),
      async requeue(ids) {
        const count = await graveyard.requeue(ids)
        controller.abort(reason)
        return count
      },
    }
    const requeued = bulkDeadLetters(interrupted).requeueAll({}, { signal: controller.signal })
    await expect(requeued).rejects.toBe(reason)
    expect(graveyard.dead.size).toBe(400)
  })

  it('hands page, filter and signal on as they are', async () => {
    const pages: unknown[] = []
    const where: DeadLetterFilter = { eventType: 'order.placed', diedBefore: new Date(0) }
    const { signal } = new AbortController()
    const letters = bulkDeadLetters({
      list: async (page) => {
        pages.push(page)
        return []
      },
      requeue: async () => 0,
      discard: async () => 0,
    })
    await letters.list({ limit: 7, after: 'x', where, signal })
    await letters.requeueAll(where, { signal })
    expect(pages).toEqual([
      { limit: 7, after: 'x', where, signal },
      { limit: 100, where, signal },
    ])
  })
})

class Hidden {
  readonly #eventType = 'order.placed'
  is(eventType: string): boolean {
    return eventType === this.#eventType
  }
}

describe('a filter that cannot be meant', () => {
  it.each<[string, unknown, option: string, RegExp]>([
    ['a date that is none', { diedBefore: new Date(Number.NaN) }, 'where.diedBefore', /must be a valid Date/],
    [
      'a time in the place of a date',
      { diedBefore: Date.now() },
      'where.diedBefore',
      /is a number, and must be a valid/,
    ],
    ['the text of a date', { diedBefore: '2026-01-01' }, 'where.diedBefore', /is a string, and must be a valid Date/],
    ['an argument that was not given', { eventType: undefined }, 'where.eventType', /is undefined: leave it out/],
    ['one of two that was not given', { aggregateType: 'a', aggregateId: undefined }, 'where.aggregateId', /mean all/],
    ['a misspelt name', { evntType: 'x' }, 'where.evntType', /is unknown; there are: eventType, aggregateType,/],
    ["an event's name for it", { type: 'order.placed' }, 'where.type', /is unknown; there are: eventType/],
    ['a number', { aggregateId: 7 }, 'where.aggregateId', /is a number, and must be a string/],
    ['several at once', { eventType: ['a.b', 'a.c'] }, 'where.eventType', /is an Array, and must be a string/],
    ['null in a field', { eventType: null }, 'where.eventType', /is null, and must be a string/],
    ['null', null, 'where', /is null: write \{\} to mean all/],
    ['a text', 'order.placed', 'where', /is a string: write \{\}/],
    ['a list', [], 'where', /is an Array: write \{\}/],
    ['a Map', new Map([['eventType', 'x']]), 'where', /is a Map: write \{\}/],
    ['an instance that shows nothing of what it holds', new Hidden(), 'where', /is no plain object: write \{\}/],
    ['a promise that nobody awaited', Promise.resolve({ eventType: 'x' }), 'where', /is a Promise: write \{\}/],
  ])('is refused before anything is asked or changed: %s', async (_, where, option, message) => {
    const byId = new Graveyard(3)
    const letters = bulkDeadLetters(byId)
    for (const call of ['requeueAll', 'discardAll'] as const) {
      const error = await refusalOf(() => Reflect.apply(letters[call], letters, [where]))
      expect(error).toMatchObject({ code: 'invalid-option', details: { option } })
      expect(error.message).toMatch(message)
      expect(error.message).toContain(`${call}: `)
    }
    const error = await refusalOf(() => Reflect.apply(letters.list, letters, [{ limit: 1, where }]))
    expect(error).toMatchObject({ code: 'invalid-option', details: { option } })
    expect(byId.calls).toEqual([])
    expect(byId.dead.size).toBe(3)
  })

  it('is none at all, where one is asked for: only {} means all', async () => {
    const byId = new Graveyard(3)
    const letters = bulkDeadLetters(byId)
    for (const call of ['requeueAll', 'discardAll'] as const) {
      for (const given of [[], [undefined]]) {
        const error = await refusalOf(() => Reflect.apply(letters[call], letters, given))
        expect(error).toMatchObject({
          details: { option: 'where' },
          message: `${call}: where is missing: write {} to mean all.`,
        })
      }
    }
    expect(byId.calls).toEqual([])
    expect(await letters.list({ limit: 5 })).toHaveLength(3)
  })
})

it.each<[string, unknown, option: string]>([
  ['a filter beside the page', { limit: 5, eventType: 'x' }, 'eventType'],
  ['no limit', {}, 'limit'],
  ['a limit below 1', { limit: -1 }, 'limit'],
  ['a limit of nothing', { limit: 0 }, 'limit'],
  ['half a letter', { limit: 0.5 }, 'limit'],
  ['a limit that is no number', { limit: Number.NaN }, 'limit'],
  ['a limit as text', { limit: '5' }, 'limit'],
  ['nothing', undefined, 'limit'],
])('a page that cannot be meant is refused: %s', async (_, page, option) => {
  const byId = new Graveyard(3)
  const letters = bulkDeadLetters(byId)
  const error = await refusalOf(() => Reflect.apply(letters.list, letters, [page]))
  expect(error).toMatchObject({ code: 'invalid-option', details: { option } })
  expect(byId.calls).toEqual([])
})

it('a page may be endless, and a filter may come from another realm', async () => {
  const letters = bulkDeadLetters(new Graveyard(3))
  expect(await letters.list({ limit: Number.POSITIVE_INFINITY })).toHaveLength(3)
  expect(await letters.discardAll(runInNewContext('({})'))).toBe(3)
  expect(await letters.discardAll(Object.create(null))).toBe(0)
})

it.each([['letter-1'], [undefined], [[undefined]], [[1]], [new Set(['letter-1'])]])(
  'ids that are no list of ids are refused: %j',
  async (ids) => {
    const byId = new Graveyard(3)
    const letters = bulkDeadLetters(byId)
    for (const call of ['requeue', 'discard'] as const) {
      const error = await refusalOf(() => Reflect.apply(letters[call], letters, [ids]))
      expect(error).toMatchObject({ code: 'invalid-option', details: { option: 'ids' } })
      expect(error.message).toMatch(/must be a list of ids, even of one: \[id\]/)
    }
    expect(byId.calls).toEqual([])
  },
)

/** The error that a call rejects with; it does not throw where its caller expects a promise. */
async function refusalOf(call: () => unknown): Promise<OutboxError> {
  const error: unknown = await Promise.resolve(call()).catch((reason: unknown) => reason)
  if (OutboxError.is(error)) return error
  throw new Error('the call was not refused', { cause: error })
}
