import { OutboxError } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { natsPublisher } from '../src/index.ts'
import { checkedSubject, coversSubject, escapeSubjectToken, subjectTemplate } from '../src/subject.ts'
import { dueEntry } from './support.ts'

const odd = [
  'a.b',
  'a b',
  '*',
  '>',
  '.',
  '..',
  ' ',
  '\t',
  '\u0000',
  '%2E',
  '$JS',
  'a/b',
  'ä',
  'a\u0308',
  '日本 😀',
  'A',
  '{x}',
]

describe('escapeSubjectToken', () => {
  it('gives one token that a subject may hold, whatever the text', () => {
    for (const text of odd) expect(escapeSubjectToken(text)).toMatch(/^[A-Za-z0-9\-_~!'()%]+$/)
  })

  it('is read back by decodeURIComponent, so no two texts share a token', () => {
    for (const text of odd) expect(decodeURIComponent(escapeSubjectToken(text))).toBe(text)
    expect(new Set(odd.map(escapeSubjectToken)).size).toBe(odd.length)
  })

  it('leaves ordinary ids as they are', () => {
    for (const id of ['o-1', '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111', 'under_score']) {
      expect(escapeSubjectToken(id)).toBe(id)
    }
  })
})

describe('a subject template', () => {
  it('escapes types and ids, and keeps the dots of the event type', () => {
    const { subjectOf } = subjectTemplate('events.{aggregateType}.{aggregateId}.{eventType}')
    const entry = dueEntry({ aggregateType: 'sales order', aggregateId: 'a.b*c>', eventType: 'order.line added.v2' })
    expect(subjectOf(entry)).toBe('events.sales%20order.a%2Eb%2Ac%3E.order.line%20added.v2')
  })

  it('knows which subjects it can make', () => {
    const wildcards = {
      'events.{aggregateType}.{aggregateId}.{eventType}': 'events.*.*.>',
      'events.{aggregateType}.{aggregateId}': 'events.*.*',
      'events.{eventType}.{aggregateId}': 'events.>',
      'a.of-{aggregateId}.z': 'a.*.z',
      events: 'events',
    }
    for (const [template, wildcard] of Object.entries(wildcards)) {
      expect(subjectTemplate(template).wildcard).toBe(wildcard)
    }
  })

  it('is refused with what to write instead', () => {
    const faults = {
      'events.{id}': /unknown placeholder \{id\}/,
      'events.{constructor}': /unknown placeholder/,
      'events..{aggregateId}': /empty token/,
      'events.*': /wildcard/,
      'my events': /white space/,
      '': /is empty/,
      '$JS.events': /begins with \$/,
      'events.${aggregateType}': /contains \$\{/,
    }
    for (const [template, message] of Object.entries(faults)) {
      expect(() => subjectTemplate(template), template).toThrow(message)
      expect(() => subjectTemplate(template), template).toThrow("Write it like 'events.")
    }
  })
})

describe('the subject that a function gives', () => {
  it('is rejected when it cannot be published to, and the reason says how to escape', () => {
    const subjects = ['', 'a b', 'a..b', '.a', 'a.', 'a.*.b', 'a.>', 'a\r\nPUB x 0', '$JS.API.x', 'x'.repeat(4000)]
    for (const subject of subjects) {
      expect(() => checkedSubject(subject, 'nats'), String(subject)).toThrow('escapeSubjectToken()')
      expect(() => checkedSubject(subject, 'nats')).toThrow(
        expect.toSatisfy((error) => OutboxError.is(error, 'rejected')),
      )
    }
  })

  it('is a bug of the function where it is no text', () => {
    for (const subject of [5, undefined, null, {}]) {
      expect(() => checkedSubject(subject, 'nats'), typeof subject).toThrow(
        expect.objectContaining({ code: 'callback-failed', details: { callback: 'subject of natsPublisher' } }),
      )
    }
  })

  it('is taken as it is otherwise', () => {
    for (const subject of ['a', 'a.b', 'ä.日本', 'a.b*c.x>y']) expect(checkedSubject(subject, 'nats')).toBe(subject)
  })
})

it('a wildcard covers what it matches, and nothing else', () => {
  const covered = [
    ['>', 'a.*.>'],
    ['a.>', 'a.b'],
    ['a.>', 'a.*.>'],
    ['a.*', 'a.*'],
    ['a.*.c', 'a.b.c'],
    ['a', 'a'],
  ] as const
  const uncovered = [
    ['a.>', 'a'],
    ['a.>', '>'],
    ['a.*', 'a.>'],
    ['a.*', 'a.b.c'],
    ['a.b', 'a.*'],
    ['a.*.c', 'a.b'],
    ['b.>', 'a.>'],
  ] as const
  for (const [outer, inner] of covered) expect(coversSubject(outer, inner), `${outer} covers ${inner}`).toBe(true)
  for (const [outer, inner] of uncovered) expect(coversSubject(outer, inner), `${outer} covers ${inner}`).toBe(false)
})

it("fence: 'subject' is refused with a template that gives an aggregate several subjects, or shares one", () => {
  const connection = {
    publish: () => undefined,
    subscribe: () => ({ unsubscribe: () => undefined }),
    async *status() {},
    isClosed: () => false,
    isDraining: () => false,
  }
  for (const subject of ['events.{aggregateType}.{aggregateId}.{eventType}', 'events.{aggregateType}']) {
    expect(() => natsPublisher({ connection, subject, fence: 'subject' })).toThrow(
      /events\.\{aggregateType\}\.\{aggregateId\}/,
    )
  }
})
