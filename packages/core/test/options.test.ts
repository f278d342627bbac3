import { expect, it } from 'vitest'
import { checkedPurge, knownOptions } from '../src/adapter/index.ts'
import { OutboxError } from '../src/index.ts'

const known = { name: true, retry: true }

it('known options are handed on, without those that are undefined', () => {
  const options: { name?: string; retry?: number | undefined } = { name: 'a', retry: undefined }
  expect(knownOptions('factory', options, known)).toStrictEqual({ name: 'a' })
})

it('nothing given is no option given', () => {
  for (const nothing of [undefined, null]) {
    expect(Reflect.apply(knownOptions, undefined, ['factory', nothing, known])).toStrictEqual({})
  }
})

it.each<[string, unknown]>([
  ['a misspelt option', { nmae: 'a' }],
  ['one that is undefined', { nmae: undefined }],
])('what is not known is refused, with what there is: %s', (_, options) => {
  const [option] = Object.keys(Object(options))
  expect(() => Reflect.apply(knownOptions, undefined, ['factory', options, known])).toThrow(
    expect.objectContaining({
      code: 'invalid-option',
      details: { option },
      message: `factory: ${option} is unknown; there are: name, retry.`,
    }),
  )
})

it('members of a class are options too, and methods keep their instance', () => {
  class Base {
    name(): string {
      return 'base'
    }
  }
  class Given extends Base {
    readonly #tries = 3
    get retry(): number {
      return this.#tries
    }
    override name(): string {
      return `${super.name()} ${this.#tries}`
    }
  }
  const { name, retry } = knownOptions('factory', new Given(), known)
  expect([name(), retry]).toEqual(['base 3', 3])
})

it('a function that was given as it is stays the same: it may carry more than its call', () => {
  const name = Object.assign(() => 'a', { end: () => undefined })
  expect(knownOptions('factory', { name }, { name: true }).name).toBe(name)
})

it.each<[unknown]>([
  [[]],
  [['a']],
  [new Map([['name', 'a']])],
  [Promise.resolve({})],
  [5],
  [true],
  [''],
  ['a'],
  [() => ({})],
])('what holds no options is refused: %o', (options) => {
  const problem = 'must be an object of options; there are: name, retry.'
  const refused = (option: string) =>
    expect.objectContaining({ code: 'invalid-option', message: `factory: ${option} ${problem}`, details: { option } })
  const call = (...within: readonly string[]) =>
    Reflect.apply(knownOptions, undefined, ['factory', options, known, ...within])
  expect(() => call()).toThrow(refused('argument'))
  expect(() => call('retry.')).toThrow(refused('retry'))
})

it('a name that every object has is not known by that', () => {
  expect(() => Reflect.apply(knownOptions, undefined, ['factory', { toString: 1 }, known])).toThrow(OutboxError)
})

it('the options of an option are named by it', () => {
  expect(() => Reflect.apply(knownOptions, undefined, ['factory', { tries: 1 }, { attempts: true }, 'retry.'])).toThrow(
    'factory: retry.tries is unknown; there are: attempts.',
  )
})

it.each([
  { olderThanMs: 0, limit: 1 },
  { olderThanMs: 0.5, limit: 1_000 },
  { olderThanMs: Number.POSITIVE_INFINITY, limit: Number.POSITIVE_INFINITY },
  { olderThanMs: 1, limit: 1, signal: AbortSignal.abort() },
])('a purge that makes sense is handed on: %j', (request) => {
  expect(checkedPurge(request)).toBe(request)
})

it.each<[unknown, option: string, RegExp]>([
  [undefined, 'olderThanMs', /olderThanMs is undefined: write milliseconds, from 0 on/],
  [{ limit: 5 }, 'olderThanMs', /is undefined/],
  [{ olderThanMs: undefined, limit: 5 }, 'olderThanMs', /is undefined/],
  [{ olderThanMs: -1, limit: 5 }, 'olderThanMs', /is -1: write milliseconds, from 0 on/],
  [{ olderThanMs: Number.NaN, limit: 5 }, 'olderThanMs', /is NaN/],
  [{ olderThanMs: '3600000', limit: 5 }, 'olderThanMs', /is '3600000': write milliseconds/],
  [{ olderThanMs: new Date(0), limit: 5 }, 'olderThanMs', /write milliseconds/],
  [{ olderThanMs: 0 }, 'limit', /limit is undefined: write a whole number from 1 on/],
  [{ olderThanMs: 0, limit: 0 }, 'limit', /limit is 0: write a whole number from 1 on/],
  [{ olderThanMs: 0, limit: -5 }, 'limit', /is -5/],
  [{ olderThanMs: 0, limit: 0.5 }, 'limit', /is 0.5/],
  [{ olderThanMs: 0, limit: Number.NaN }, 'limit', /is NaN/],
  [{ olderThanMs: 0, limit: '100' }, 'limit', /is '100': write a whole number/],
  [{ olderThan: 0, limit: 5 }, 'olderThan', /is unknown; there are: olderThanMs, limit, signal/],
])('a purge that would delete nothing for ever, or everything, is refused: %j', (request, option, message) => {
  expect(() => Reflect.apply(checkedPurge, undefined, [request])).toThrow(
    expect.objectContaining({ code: 'invalid-option', details: { option }, message: expect.stringMatching(message) }),
  )
})
