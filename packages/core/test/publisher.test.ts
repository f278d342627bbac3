import { expect, test } from 'vitest'
import { aggregateKey, groupByAggregate, shown } from '../src/adapter/index.ts'
import {
  type CallOptions,
  type DueEntry,
  OutboxError,
  type Publisher,
  type PublishOutcome,
  permanent,
  publisher,
  unanswered,
  unavailable,
} from '../src/index.ts'
import { dueEntry } from './due-entry.ts'

/** Entries by short names: `a1` is sequence 1 of aggregate `a`. */
const batch = (...names: readonly string[]): readonly DueEntry[] =>
  names.map((name) => dueEntry({ aggregateId: name.slice(0, 1), sequence: Number(name.slice(1)) }))

const nameOf = (entry: DueEntry): string => `${entry.aggregateId}${entry.sequence}`

const publish = (to: Publisher, entries: readonly DueEntry[], signal = new AbortController().signal) =>
  to.publish(entries, { signal })

const statuses = (outcomes: readonly PublishOutcome[]): readonly string[] => outcomes.map(({ status }) => status)

/** Lets every promise that can go on without I/O or timers do so. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A send function whose sends end when the test says so. */
function heldSends() {
  const started: string[] = []
  const ends = new Map<string, { readonly resolve: () => void; readonly reject: (error: unknown) => void }>()
  const send = (entry: DueEntry): Promise<void> =>
    new Promise((resolve, reject) => {
      started.push(nameOf(entry))
      ends.set(nameOf(entry), { resolve, reject })
    })
  const endOf = (name: string) => ends.get(name) ?? expect.unreachable(`${name} was not sent`)
  return { started, send, endOf }
}

test('one outcome per entry comes back in the order given', async () => {
  const sent: string[] = []
  const to = publisher({ name: 'test', send: (entry) => void sent.push(nameOf(entry)) })
  const outcomes = await publish(to, batch('a1', 'b1', 'a2', 'c1', 'b2'))
  expect(outcomes).toEqual(Array.from({ length: 5 }, () => ({ status: 'published' })))
  expect([...sent].sort()).toEqual(['a1', 'a2', 'b1', 'b2', 'c1'])
})

test('an empty batch is no outcomes', async () => {
  expect(await publish(publisher({ name: 'test', send: () => {} }), [])).toEqual([])
})

test('an aggregate’s next entry is sent only after the one before it was taken', async () => {
  const { started, send, endOf } = heldSends()
  const result = publish(publisher({ name: 'test', send }), batch('a1', 'b1', 'a2', 'a3'))
  await settled()
  expect(started).toEqual(['a1', 'b1'])
  endOf('a1').resolve()
  await settled()
  expect(started).toEqual(['a1', 'b1', 'a2'])
  endOf('a2').resolve()
  await settled()
  expect(started).toEqual(['a1', 'b1', 'a2', 'a3'])
  endOf('a3').resolve()
  endOf('b1').resolve()
  expect(statuses(await result)).toEqual(['published', 'published', 'published', 'published'])
})

test('an aggregate stops at its first failure, and the others go on', async () => {
  const failure = new Error('503')
  const sent: string[] = []
  const to = publisher({
    name: 'test',
    send: async (entry) => {
      sent.push(nameOf(entry))
      if (nameOf(entry) === 'a2') throw failure
    },
  })
  const outcomes = await publish(to, batch('a1', 'a2', 'a3', 'b1', 'a4', 'b2'))
  expect(outcomes).toEqual([
    { status: 'published' },
    { status: 'retry', error: failure },
    { status: 'notSent' },
    { status: 'published' },
    { status: 'notSent' },
    { status: 'published' },
  ])
  expect(sent).not.toContain('a3')
  expect(sent).not.toContain('a4')
})

test.each<[string, unknown, PublishOutcome['status']]>([
  ['permanent(…) is a dead letter', permanent('422'), 'reject'],
  ['unavailable(…) is an outage', unavailable('ECONNREFUSED'), 'unavailable'],
  ['unanswered(…) is unknown: it may have been stored', unanswered('ECONNRESET'), 'unknown'],
  ['any other error is a retry', new TypeError('a bug'), 'retry'],
  ['another outbox error is a retry', new OutboxError('busy', 'later', { system: 'broker' }), 'retry'],
  ['what is no error at all is a retry', 'text', 'retry'],
])('%s', async (_, thrown, status) => {
  const asynchronous = publisher({
    name: 'test',
    send: async () => {
      throw thrown
    },
  })
  const synchronous = publisher({
    name: 'test',
    send: () => {
      throw thrown
    },
  })
  for (const to of [asynchronous, synchronous]) {
    expect(await publish(to, batch('a1', 'a2'))).toEqual([{ status, error: thrown }, { status: 'notSent' }])
  }
})

test('no more aggregates are in flight than concurrency allows, and as many as it allows', async () => {
  for (const [concurrency, expected] of [
    [1, 1],
    [3, 3],
    [100, 5],
    [undefined, 5],
  ] as const) {
    const { started, send, endOf } = heldSends()
    const options = concurrency === undefined ? {} : { concurrency }
    const result = publish(publisher({ name: 'test', send, ...options }), batch('a1', 'b1', 'c1', 'd1', 'e1', 'a2'))
    await settled()
    expect(started).toHaveLength(expected)
    let ended = 0
    while (ended < 6) {
      expect(started.length - ended).toBeLessThanOrEqual(expected)
      endOf(started[ended] ?? '').resolve()
      ended++
      await settled()
    }
    expect(statuses(await result)).toEqual(Array.from({ length: 6 }, () => 'published'))
  }
})

test('sixteen aggregates are in flight unless concurrency says otherwise', async () => {
  const { started, send, endOf } = heldSends()
  const names = [...'abcdefghijklmnopqrstuvwxyz'].map((letter) => `${letter}1`)
  const result = publish(publisher({ name: 'test', send }), batch(...names))
  await settled()
  expect(started).toHaveLength(16)
  for (let ended = 0; ended < names.length; ended++) {
    endOf(names[ended] ?? '').resolve()
    await settled()
  }
  await result
  expect(started).toHaveLength(26)
})

test('on abort what was taken is published, what is in flight is unknown, the rest is not sent', async () => {
  const { started, send, endOf } = heldSends()
  const abort = new AbortController()
  const to = publisher({ name: 'test', concurrency: 2, send })
  const result = publish(to, batch('a1', 'a2', 'a3', 'b1', 'b2', 'c1'), abort.signal)
  await settled()
  endOf('a1').resolve()
  await settled()
  abort.abort(new Error('the drain deadline has passed'))
  const outcomes = await result
  expect(statuses(outcomes)).toEqual(['published', 'unknown', 'notSent', 'unknown', 'notSent', 'notSent'])
  expect(outcomes[1]).toEqual({ status: 'unknown', error: abort.signal.reason })
  expect(started).toEqual(['a1', 'b1', 'a2'])
})

test('a send that ends after the abort changes nothing, whichever way it ends', async () => {
  const { send, started, endOf } = heldSends()
  const abort = new AbortController()
  const result = publish(publisher({ name: 'test', send }), batch('a1', 'b1', 'a2'), abort.signal)
  await settled()
  abort.abort()
  const outcomes = await result
  endOf('a1').resolve()
  endOf('b1').reject(permanent('too late to say so'))
  await settled()
  expect(statuses(outcomes)).toEqual(['unknown', 'unknown', 'notSent'])
  expect(started).toEqual(['a1', 'b1'])
})

test('a send that stops because of the abort is unknown: it may have arrived', async () => {
  const abort = new AbortController()
  const to = publisher({
    name: 'test',
    send: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('stopped')))
      }),
  })
  const result = publish(to, batch('a1'), abort.signal)
  await settled()
  abort.abort()
  expect(statuses(await result)).toEqual(['unknown'])
})

test('nothing is sent under a signal that has aborted already', async () => {
  const { send, started } = heldSends()
  const outcomes = await publish(publisher({ name: 'test', send }), batch('a1', 'b1'), AbortSignal.abort())
  expect(statuses(outcomes)).toEqual(['notSent', 'notSent'])
  expect(started).toEqual([])
})

test('publishing leaves no listener on a signal that lives on', async () => {
  const abort = new AbortController()
  let listeners = 0
  const add = abort.signal.addEventListener.bind(abort.signal)
  const remove = abort.signal.removeEventListener.bind(abort.signal)
  abort.signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++
    add(...args)
  }
  abort.signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--
    remove(...args)
  }
  await publish(publisher({ name: 'test', send: () => Promise.reject(new Error('no')) }), batch('a1'), abort.signal)
  expect(listeners).toBe(0)
})

test('the capabilities are those that were given, and order is kept', () => {
  const send = () => {}
  expect(publisher({ name: 'plain', send })).toMatchObject({ name: 'plain', capabilities: { keepsOrderInBatch: true } })
  expect(publisher({ name: 'full', maxPayloadBytes: 10, dedupeWindowMs: 20, send }).capabilities).toEqual({
    keepsOrderInBatch: true,
    maxPayloadBytes: 10,
    dedupeWindowMs: 20,
  })
})

test('the probe is the one that was given, and none otherwise: what has none cannot be asked', async () => {
  const asked: (AbortSignal | undefined)[] = []
  const probe = async ({ signal }: CallOptions): Promise<void> => void asked.push(signal)
  const to = publisher({ name: 'test', send: () => {}, probe })
  const { signal } = new AbortController()
  await to.probe?.({ signal })
  expect(asked).toEqual([signal])
  expect('probe' in publisher({ name: 'test', send: () => {} })).toBe(false)
})

test('an instance of a class may be the options: its methods are called on it', async () => {
  class Webhook {
    readonly name = 'webhook'
    readonly #asked: string[] = []
    send({ id }: DueEntry): void {
      this.#asked.push(id)
    }
    async probe(): Promise<void> {
      if (this.#asked.length === 0) throw new Error('nothing was sent')
    }
  }
  const to = publisher(new Webhook())
  expect(await publish(to, batch('a1'))).toEqual([{ status: 'published' }])
  await expect(to.probe?.({})).resolves.toBeUndefined()
})

test.each<[string, object | undefined, option: string, RegExp]>([
  ['nothing', undefined, 'name', /must be a text/],
  ['no name', { send: () => {} }, 'name', /must be a text/],
  ['an empty name', { name: '', send: () => {} }, 'name', /must be a text/],
  ['no send', { name: 'test' }, 'send', /must be a function/],
  ['a send that is a client', { name: 'test', send: {} }, 'send', /must be a function/],
  ['a probe that is none', { name: 'test', send: () => {}, probe: true }, 'probe', /must be a function/],
  ['a misspelt option', { name: 'test', send: () => {}, concurency: 1 }, 'concurency', /there are: name, maxPayload/],
  ...[0, -1, 1.5, Number.NaN, Infinity, '4'].map((concurrency): [string, object, string, RegExp] => [
    `a concurrency of ${shown(concurrency)}`,
    { name: 'test', send: () => {}, concurrency },
    'concurrency',
    new RegExp(`concurrency is ${shown(concurrency)}: write a whole number from 1 on`),
  ]),
  ['payloads of NaN bytes', { name: 'test', send: () => {}, maxPayloadBytes: Number.NaN }, 'maxPayloadBytes', /is NaN/],
  ['payloads of no byte', { name: 'test', send: () => {}, maxPayloadBytes: 0 }, 'maxPayloadBytes', /whole number/],
  [
    'a window of NaN ms',
    { name: 'test', send: () => {}, dedupeWindowMs: Number.NaN },
    'dedupeWindowMs',
    /milliseconds/,
  ],
  ['payloads of null bytes', { name: 'test', send: () => {}, maxPayloadBytes: null }, 'maxPayloadBytes', /is null/],
  ['a window of null', { name: 'test', send: () => {}, dedupeWindowMs: null }, 'dedupeWindowMs', /is null/],
  ['a probe of null', { name: 'test', send: () => {}, probe: null }, 'probe', /must be a function/],
  ['a window as text', { name: 'test', send: () => {}, dedupeWindowMs: '1h' }, 'dedupeWindowMs', /milliseconds/],
])('is refused at construction: %s', (_, options, option, message) => {
  expect(() => Reflect.apply(publisher, undefined, [options])).toThrow(
    expect.objectContaining({ code: 'invalid-option', details: { option }, message: expect.stringMatching(message) }),
  )
})

test('entries group by aggregate, type and id together, in the order given', () => {
  const entries = [
    { aggregateType: 'a', aggregateId: 'bc' },
    { aggregateType: 'ab', aggregateId: 'c' },
    { aggregateType: 'a', aggregateId: 'bc' },
    { aggregateType: '__proto__', aggregateId: 'constructor' },
  ]
  expect(groupByAggregate(entries)).toEqual([[0, 2], [1], [3]])
  expect(new Set(entries.map(aggregateKey)).size).toBe(3)
})
