import { beforeAll, expect, test } from 'vitest'
import { compile } from './compile.ts'

/** What each program begins with; `query` stands for a query builder that was not awaited, `row` for a row of a table. */
const preamble = `
import { type DeadLetterFilter, type DomainEvent, type DueEntry, type Enqueue, event, type Inbox, type Jsonable, type Outbox, OutboxError, type PayloadOf, publisher, type SendPublisherOptions } from '@outbox/core'
declare const outbox: Enqueue<unknown>
declare const query: PromiseLike<{ id: number }[]> & { where(): unknown }
declare const row: { id: number; createdAt: Date | null; balance: bigint }
declare function given<T>(): T
declare const producer: { send(record: { value: string }): Promise<{ offset: number }[]> }
declare const inbox: Inbox<{ rollback(): never }>
declare const tx: { rollback(): never }
`

interface Wrong {
  readonly mistake: string
  readonly code: string
  /** what the compiler's message must contain */
  readonly says: string
}

const wrongPayloads: readonly Wrong[] = [
  { mistake: 'a BigInt', code: '{ total: 3n }', says: `'Invalid<"JSON has no BigInt: pass a string">'` },
  { mistake: 'a BigInt in a list', code: '{ lines: [{ price: 3n }] }', says: 'JSON has no BigInt: pass a string' },
  { mistake: 'a row with a bigint column', code: 'row', says: 'JSON has no BigInt: pass a string' },
  { mistake: 'a Set', code: '{ tags: new Set([1]) }', says: 'a Map or Set becomes {}' },
  { mistake: 'a Map', code: '{ tags: new Map([[1, 2]]) }', says: 'a Map or Set becomes {}' },
  { mistake: 'a RegExp', code: '{ pattern: /a/ }', says: 'JSON cannot hold this object' },
  { mistake: 'an Error', code: '{ cause: new TypeError() }', says: 'JSON cannot hold this object' },
  { mistake: 'bytes', code: '{ image: new Uint8Array() }', says: 'JSON cannot hold this object' },
  { mistake: 'a function', code: '{ nested: { f: () => 1 } }', says: 'a function or symbol is lost in JSON' },
  { mistake: 'a symbol', code: '{ s: Symbol() }', says: 'a function or symbol is lost in JSON' },
  { mistake: 'a query that was not awaited', code: '{ user: query }', says: 'a promise: await it first' },
  { mistake: 'a promise as the payload', code: 'Promise.resolve({})', says: 'a promise: await it first' },
  { mistake: 'undefined', code: 'undefined', says: 'an event needs a payload: {} will do' },
  { mistake: 'what may be undefined', code: 'given<{ a: string } | undefined>()', says: 'an event needs a payload' },
  { mistake: 'undefined in a list', code: "{ list: ['a', undefined] }", says: 'undefined in an array turns into null' },
  {
    mistake: 'undefined in a tuple',
    code: 'given<[string, undefined]>()',
    says: 'undefined in an array turns into null',
  },
  {
    mistake: 'a toJSON() without a result',
    code: '{ a: given<{ toJSON(): void }>() }',
    says: 'its toJSON() gives no JSON',
  },
  {
    mistake: 'one bad member of a union',
    code: "given<{ kind: 'a' } | { kind: 'b'; n: bigint }>()",
    says: 'JSON has no BigInt: pass a string',
  },
]

const wrongEvents: readonly Wrong[] = [
  {
    mistake: 'an event type with an empty part',
    code: "event('order.', { aggregateId: '1', payload: {} })",
    says: "an event type is dotted, without white space or empty parts: 'order.placed'",
  },
  {
    mistake: 'an event type with white space',
    code: "event('order. placed', { aggregateId: '1', payload: {} })",
    says: 'without white space or empty parts',
  },
  {
    mistake: 'what a function without a result gives back',
    code: "event('order.placed', { aggregateId: '1', payload: given<void>() })",
    says: 'what gives nothing back: an event needs a payload',
  },
  {
    mistake: 'an event type without a dot',
    code: "event('placed', { aggregateId: '1', payload: {} })",
    says: "an event type is dotted, aggregate first: 'order.placed'",
  },
  {
    mistake: 'a numeric aggregate id',
    code: "event('order.placed', { aggregateId: 42, payload: {} })",
    says: "Type 'number' is not assignable to type 'string'",
  },
  {
    mistake: 'no aggregate id',
    code: "event('order.placed', { payload: {} })",
    says: "Property 'aggregateId' is missing",
  },
  {
    mistake: 'no payload',
    code: "event('order.placed', { aggregateId: '1' })",
    says: "Property 'payload' is missing",
  },
  {
    mistake: 'a misspelt option',
    code: "event('order.placed', { aggregateId: '1', payload: {}, sequnce: 3 })",
    says: "Did you mean to write 'sequence'?",
  },
  {
    mistake: 'a plain object without a payload',
    code: "outbox.enqueue(null, { type: 'a.b', aggregateId: '1' })",
    says: "Property 'payload' is missing",
  },
  {
    mistake: 'a plain object with a misspelt field',
    code: "outbox.enqueue(null, [{ type: 'a.b', aggregateId: '1', payload: {}, sequnce: 3 }])",
    says: "Did you mean to write 'sequence'?",
  },
  {
    mistake: 'an event that was not awaited',
    code: "outbox.enqueue(null, Promise.resolve(event('a.b', { aggregateId: '1', payload: {} })))",
    says: "is not assignable to parameter of type 'OneOrMany<Enqueueable>'",
  },
  ...[
    {
      mistake: 'a send that returns the promise of an answer',
      send: '(entry) => producer.send({ value: entry.payload })',
    },
    { mistake: 'a send that returns an answer', send: 'async (entry) => producer.send({ value: entry.payload })' },
    {
      mistake: 'a send that returns what fetch gives',
      send: "(entry, { signal }) => fetch('https://example.org', { method: 'POST', body: entry.payload, signal })",
    },
    { mistake: 'a send that returns whether it went well', send: '(entry) => entry.payload.length > 0' },
    { mistake: 'a send that returns what nobody knows', send: '() => given<Promise<unknown>>()' },
  ].map(({ mistake, send }) => ({
    mistake,
    code: `publisher({ name: 'kafka', send: ${send} })`,
    says: 'Invalid<"return nothing: look at the answer, and throw if it failed">',
  })),
  {
    mistake: 'a misspelt option of a publisher',
    code: "publisher({ name: 'kafka', send: () => {}, concurency: 1 })",
    says: "but 'concurency' does not exist",
  },
  {
    mistake: 'a misspelt filter of dead letters',
    code: "given<(where: DeadLetterFilter) => void>()({ evntType: 'order.placed' })",
    says: "but 'evntType' does not exist",
  },
  {
    mistake: 'headers that are no text',
    code: "event('a.b', { aggregateId: '1', payload: {}, headers: { retries: 3 } })",
    says: "Type 'number' is not assignable to type 'string'",
  },
]

const wrong = [
  ...wrongPayloads.map(({ code, ...rest }) => ({
    ...rest,
    code: `event('order.placed', { aggregateId: '1', payload: ${code} })`,
  })),
  ...wrongEvents,
]

const validPayloads: Readonly<Record<string, string>> = {
  'an empty object': '{}',
  null: 'null',
  'text, a number, a boolean': 'given<string | number | boolean>()',
  'a list': "[1, 'a', null]",
  'a tuple': "[1, { a: 'b' }] as const",
  'a Date': '{ at: new Date() }',
  'a URL': "new URL('https://example.org')",
  'what has a toJSON(key)': 'given<{ n: bigint; toJSON(key: string): string }>()',
  'an interface': 'given<Placed>()',
  'an interface named like an error': 'given<Contact>()',
  unknown: 'given<unknown>()',
  'a part that is unknown': 'given<{ a: unknown; b: unknown[]; c: Record<string, unknown> }>()',
  any: 'given<any>()',
  'a part that is any': 'given<{ a: any; b: any[] }>()',
  'a property that may be undefined': '{ reason: given<string | undefined>() }',
  'never in a union that was narrowed': 'given<{ kind: "a"; rest: never[] }>()',
  'a branded string': 'given<{ id: OrderId }>()',
  'a discriminated union': "given<{ kind: 'card'; last4: string } | { kind: 'cash' }>()",
  'a literal union': "given<{ state: 'open' | 'closed'; size: 1 | 2 }>()",
  'a record': 'given<Record<string, number>>()',
  'a partial record': "given<Partial<Record<'a' | 'b', number>>>()",
  'a recursive JSON type': 'given<Json>()',
  'a recursive, read-only JSON type': 'given<ReadonlyJson>()',
  'a tree': 'given<Tree>()',
  'a row, as drizzle infers it':
    'given<{ id: number; name: string; at: Date | null; meta: unknown; tags: string[] | null }>()',
  'a class of data': 'given<Money>()',
  object: 'given<object>()',
}

const validTypes = `
interface Placed { total: number; note?: string; at: Date; readonly lines: readonly { sku: string; gift?: boolean }[] }
interface Contact { name: string; message: string }
type OrderId = string & { readonly brand: 'OrderId' }
type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
type ReadonlyJson = string | number | boolean | null | readonly ReadonlyJson[] | { readonly [key: string]: ReadonlyJson | undefined }
interface Tree { value: string; parent?: Tree; children: Tree[] }
declare class Money { readonly cents: number; readonly currency: string }
`

const validPrograms: Readonly<Record<string, string>> = {
  'the payload keeps its type': `
    const placed = event('order.placed', { aggregateId: '1', payload: { total: 3, lines: [{ sku: 'a' }] } })
    const type: 'order.placed' = placed.type
    const exact: DomainEvent<'order.placed', { total: number; lines: { sku: string }[] }> = placed`,
  'a payload computed in place': `
    interface Order { lines: { sku: string; quantity: number }[]; at: Date; note?: string }
    declare const order: Order
    declare function load<T>(key: string): Promise<T>
    event('a.b', {
      aggregateId: '1',
      payload: {
        lines: order.lines.map((line) => ({ sku: line.sku })),
        total: order.lines.reduce((sum, line) => sum + line.quantity, 0),
        skus: [...new Set(order.lines.map((line) => line.sku))].sort((a, b) => (a < b ? -1 : 1)),
        bySku: Object.fromEntries(order.lines.map((line) => [line.sku, line.quantity])),
        first: order.lines[0] ?? null,
        extra: order.note === undefined ? undefined : { note: order.note },
        get weight() { return 1 },
      },
    })
    event('a.b', { aggregateId: '1', payload: { ...order, at: order.at.toISOString() } })
    event('a.b', { aggregateId: '1', payload: structuredClone(order) })
    event('a.b', { aggregateId: '1', payload: await load<Order>('1') })
    event('a.b', { aggregateId: '1', payload: JSON.parse('{}') })
    const skus: { sku: string }[] =
      event('a.b', { aggregateId: '1', payload: order.lines.map(({ sku }) => ({ sku })) }).payload`,
  'a type that is known at run time only': `
    event(given<string>(), { aggregateId: '1', payload: {} })
    event(given<\`order.\${string}\`>(), { aggregateId: '1', payload: {} })
    event(given<'order.placed' | 'order.paid'>(), { aggregateId: '1', payload: {} })`,
  'a generic function that hands a payload on': `
    function changed<P>(payload: PayloadOf<P>): DomainEvent<'order.changed', P> {
      return event('order.changed', { aggregateId: '1', payload })
    }
    const total: number = changed({ total: 3 }).payload.total
    // @ts-expect-error a BigInt is refused through it, too
    changed({ total: 3n })`,
  'a generic function that leaves the check to run time': `
    function changed<P>(payload: P): DomainEvent<'order.changed', P> {
      return { type: 'order.changed', aggregateId: '1', payload }
    }
    function unchecked<P>(payload: P): DomainEvent<'order.changed'> {
      return event('order.changed', { aggregateId: '1', payload: payload as unknown })
    }
    changed({}); unchecked({})`,
  'an expected event type': `
    const placed: DomainEvent<'order.placed', { total: number }> =
      event('order.placed', { aggregateId: '1', payload: { total: 3 } })`,
  'every option': `
    event('order.placed', {
      aggregateId: '1', aggregateType: 'order', payload: {}, sequence: 1n, id: 'x', occurredAt: new Date(), headers: { a: 'b' },
    })`,
  'options that may be undefined': `
    const loose = given<{ id: string | undefined; at: Date | undefined; headers: Record<string, string> | undefined }>()
    event('order.placed', { aggregateId: '1', payload: {}, id: loose.id, occurredAt: loose.at, headers: loose.headers })`,
  'one event, several, plain objects, and a list that is read-only': `
    outbox.enqueue(null, event('a.b', { aggregateId: '1', payload: { total: 3 } }))
    outbox.enqueue(null, [event('a.b', { aggregateId: '1', payload: {} }), { type: 'a.c', aggregateId: '1', payload: [] }])
    outbox.enqueue(null, given<readonly DomainEvent[]>())`,
  'a test double fits where a real outbox is asked for': `
    interface Transaction { rollback(): never }
    const real: Enqueue<Transaction> = given<Enqueue<unknown>>()
    const trait: Outbox<Transaction> = given<Outbox<unknown>>()
    // @ts-expect-error not the other way round
    const double: Enqueue<unknown> = given<Enqueue<Transaction>>()`,
  'a send that returns nothing, in every way there is': `
    const sends: readonly SendPublisherOptions['send'][] = [() => {}, async () => {}]
    publisher({ name: 'x', send: (entry) => { const payload: string = entry.payload } })
    publisher({ name: 'x', async send(entry, { signal }) { const payload: string = entry.payload; signal.throwIfAborted() } })
    publisher({ name: 'x', send: async (entry) => { await producer.send({ value: entry.payload }) } })
    publisher({ name: 'x', send: (entry) => new Promise((resolve) => setTimeout(resolve, entry.payload.length)) })
    publisher({ name: 'x', send: (entry) => Promise.reject(new Error(entry.id)) })
    publisher({ name: 'x', send: (entry) => { throw new Error(entry.id) } })
    publisher({ name: 'x', send: async (entry) => { throw new Error(entry.id) } })
    publisher({ name: 'x', send: (entry) => (entry.isLate ? undefined : given<Promise<void>>()) })
    publisher({ name: 'x', send: () => given<PromiseLike<undefined>>() })
    publisher({ name: 'x', send: given<(entry: DueEntry) => Promise<void>>() })
    publisher({ name: 'x', send: given<() => any>() })
    publisher({ name: 'x', send: () => given<Promise<any>>(), probe: async () => {} })
    const options: SendPublisherOptions = { name: 'x', send: async (entry) => { const payload: string = entry.payload } }
    publisher(options)`,
  'a handler of an inbox that returns something, in every way there is': `
    const service = given<{ handle(): Promise<{ id: string }>; count(): number }>()
    inbox.once(tx, 'a', 'm', async () => service.handle())
    inbox.once(tx, 'a', 'm', () => service.handle())
    inbox.once(tx, 'a', 'm', () => service.count())
    inbox.once(tx, 'a', 'm', () => query)
    inbox.once(tx, 'a', 'm', () => {})
    inbox.once(tx, 'a', 'm', async () => {})
    // @ts-expect-error a handler is a function
    inbox.once(tx, 'a', 'm', service.handle())`,
  'Jsonable is the type itself where nothing is lost': `
    type Placed = { a: string; b?: Date }
    const value: Jsonable<Placed> = given<Placed>()`,
  'an error narrows by its code': `
    const error: unknown = given<unknown>()
    if (OutboxError.is(error, 'sequence-conflict')) { const sequence: number = error.details.sequence }
    if (error instanceof OutboxError && error.code === 'busy') { const system: string = error.details.system }
    if (OutboxError.is(error) && error.code === 'invalid-event') { const index: number = error.details.index }
    // @ts-expect-error not every code has it
    if (OutboxError.is(error)) { const index: number = error.details.index }
    // @ts-expect-error no such code
    if (error instanceof OutboxError && error.code === 'sequence_conflict') {}
    // @ts-expect-error no such code
    OutboxError.is(error, 'sequence-conflct')`,
}

let answers: ReadonlyMap<string, string> = new Map()

beforeAll(async () => {
  const payloads = Object.entries(validPayloads).map(
    ([name, code]) =>
      [`valid ${name}`, `${preamble}${validTypes}event('a.b', { aggregateId: '1', payload: ${code} })`] as const,
  )
  const programs = Object.entries(validPrograms).map(([name, code]) => [`valid ${name}`, `${preamble}${code}`] as const)
  const mistakes = wrong.map(({ mistake, code }) => [`wrong ${mistake}`, `${preamble}${code}`] as const)
  answers = await compile(new Map([...payloads, ...programs, ...mistakes]))
})

test.each(wrong)('$mistake does not compile, and the message says why', ({ mistake, says }) => {
  const answer = answers.get(`wrong ${mistake}`)
  expect(answer).toContain(says)
  expect(answer).not.toContain("to type 'never'")
  expect(answer?.match(/error TS/g), answer).toHaveLength(1)
})

test.each(Object.keys(validPayloads))('as a payload, %s compiles', (name) => {
  expect(answers.get(`valid ${name}`)).toBe('')
})

test.each(Object.keys(validPrograms))('%s: compiles', (name) => {
  expect(answers.get(`valid ${name}`)).toBe('')
})
