import { describe, isDate, kindOf } from '../kind.ts'
import { invalidOption, knownOptions, requireCount } from '../options.ts'
import type { CallOptions } from '../outbox.ts'
import type { DeadLetter, DeadLetterFilter, DeadLetters } from '../store.ts'

/** Dead letters that are read and written at a time: short statements, little memory. */
const pageSize = 100

/**
 * For stores: completes dead letters that can be listed, requeued and discarded by id with the calls that work by
 * filter, page by page.
 *
 * A page is listed before the one in front of it is changed, so what changes meanwhile moves no page. What a call is
 * given is checked here: a filter that was misspelt, or holds nothing where something was meant, would mean every dead
 * letter, and a discard cannot be undone.
 */
export function bulkDeadLetters(byId: Pick<DeadLetters, 'list' | 'requeue' | 'discard'>): DeadLetters {
  const all = async (change: 'requeue' | 'discard', where: DeadLetterFilter, options: CallOptions): Promise<number> => {
    checkFilter(`${change}All`, where)
    let changed = 0
    const page = (after?: DeadLetter): Promise<readonly DeadLetter[]> =>
      byId.list({ ...options, where, limit: pageSize, ...(after && { after: after.entry.id }) })
    for (let letters = await page(); letters.length > 0; ) {
      const next = letters.length < pageSize ? [] : await page(letters.at(-1))
      changed += await byId[change](
        letters.map(({ entry }) => entry.id),
        options,
      )
      letters = next
    }
    return changed
  }
  return {
    list: async (page) => {
      checkPage(page)
      return byId.list(page)
    },
    requeue: async (ids, options) => byId.requeue(checkedIds('requeue', ids), options),
    discard: async (ids, options) => byId.discard(checkedIds('discard', ids), options),
    requeueAll: (where, options = {}) => all('requeue', where, options),
    discardAll: (where, options = {}) => all('discard', where, options),
  }
}

type Page = Parameters<DeadLetters['list']>[0]

const pageKeys: Readonly<Record<keyof Page, true>> = { limit: true, after: true, where: true, signal: true }
const filterKeys: Readonly<Record<keyof DeadLetterFilter, true>> = {
  eventType: true,
  aggregateType: true,
  aggregateId: true,
  diedBefore: true,
}

function checkPage(page: Page): void {
  const { limit, where } = knownOptions('list', page, pageKeys)
  if (limit !== Number.POSITIVE_INFINITY) requireCount('list', 'limit', limit)
  if (where !== undefined) checkFilter('list', where)
}

/** Only `{}` means all: a list, a promise that nobody awaited, or an instance of a class names nothing either. */
function checkFilter(call: string, where: DeadLetterFilter): void {
  const given: unknown = where // in JavaScript it may be anything
  if (typeof given !== 'object' || given === null || kindOf(given) !== 'Object') {
    throw invalidOption(call, 'where', `is ${describe(given)}: write {} to mean all`)
  }
  if (!isPlain(given)) throw invalidOption(call, 'where', 'is no plain object: write {} to mean all')
  knownOptions(call, where, filterKeys, 'where.')
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) throw invalidOption(call, `where.${name}`, 'is undefined: leave it out to mean all')
    if (name === 'diedBefore' ? isDate(value) && !Number.isNaN(value.getTime()) : typeof value === 'string') continue
    const instead = name === 'diedBefore' ? 'a valid Date' : 'a string'
    throw invalidOption(call, `where.${name}`, `is ${describe(value)}, and must be ${instead}`)
  }
}

/** Also of another realm: the prototype of a plain object has none itself. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function checkedIds(call: string, ids: readonly string[]): readonly string[] {
  if (Array.isArray(ids) && ids.every((id) => typeof id === 'string')) return ids
  throw invalidOption(call, 'ids', 'must be a list of ids, even of one: [id]')
}
