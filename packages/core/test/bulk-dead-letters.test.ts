import { describe, expect, it } from 'vitest'
import { bulkDeadLetters } from '../src/adapter/index.ts'
import type { DeadLetter, DeadLetterFilter, DeadLetters } from '../src/index.ts'
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

it('refuses an invalid date before anything is asked or changed', async () => {
  const byId = new Graveyard(3)
  const letters = bulkDeadLetters(byId)
  const where = { diedBefore: new Date(Number.NaN) }
  for (const call of [letters.list({ limit: 1, where }), letters.requeueAll(where), letters.discardAll(where)]) {
    await expect(call).rejects.toMatchObject({ code: 'invalid-option', details: { option: 'diedBefore' } })
  }
  expect(byId.calls).toEqual([])
})
