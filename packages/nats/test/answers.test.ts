import { OutboxError } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { acknowledgementFrom, outcomeOfAcknowledgement, outcomeWithoutReply } from '../src/answers.ts'

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const outcomeOf = (body: unknown) => {
  const acknowledgement = acknowledgementFrom(bytes(body))
  if (!acknowledgement) throw new Error('that is none of JetStream')
  return outcomeOfAcknowledgement(acknowledgement, 'nats')
}
const refusal = (code: number, description: string) =>
  outcomeOf({ error: { code: 400, err_code: code, description }, stream: 'S', seq: 0 })

describe('what JetStream answers', () => {
  it('stored is published, and a duplicate is published too', () => {
    expect(outcomeOf({ stream: 'S', seq: 4 })).toEqual({ status: 'published' })
    expect(outcomeOf({ stream: 'S', seq: 4, duplicate: true })).toEqual({ status: 'published', duplicate: true })
    expect(outcomeOf({ stream: 'S', seq: 4, domain: 'hub' })).toEqual({ status: 'published' })
  })

  it('a duplicate of what the leader has not stored yet is unknown: it may still be dropped', () => {
    const outcome = outcomeOf({ stream: 'S', seq: 0, duplicate: true })
    expect(outcome.status).toBe('unknown')
    expect(String('error' in outcome && outcome.error)).toContain('still has to store a message with this id')
  })

  it.each([
    [10_071, 'wrong last sequence: 5', 'retry'],
    [10_164, 'wrong last sequence', 'retry'],
    [10_077, 'maximum messages per subject exceeded', 'retry'],
    [10_077, 'maximum bytes exceeded', 'unavailable'],
    [10_077, 'maximum messages exceeded', 'unavailable'],
    [10_059, 'stream not found', 'retry'],
    [10_060, 'expected stream does not match', 'retry'],
    [10_109, 'invalid operation on sealed stream', 'retry'],
    [10_158, 'duplicate message id is in process', 'unknown'],
    [10_167, 'too many requests', 'unavailable'],
    [99_999, 'something new', 'retry'],
    [10_054, 'message size exceeds maximum allowed', 'reject'],
    [10_097, 'header size exceeds maximum allowed of 64k', 'reject'],
    [10_008, 'JetStream system temporarily unavailable', 'unavailable'],
    [10_009, 'JetStream cluster can not handle request', 'unavailable'],
    [10_023, 'insufficient resources', 'unavailable'],
    [10_028, 'insufficient memory resources available', 'unavailable'],
    [10_039, 'JetStream not enabled for account', 'unavailable'],
    [10_047, 'insufficient storage resources available', 'unavailable'],
    [10_076, 'JetStream not enabled', 'unavailable'],
  ])('%i %s is %s, with code and description', (code, description, status) => {
    const outcome = refusal(code, description)
    expect(outcome.status).toBe(status)
    expect(String('error' in outcome && outcome.error)).toContain(`${description} (${code})`)
  })

  it('a refusal without err_code is told by its code: 503 is a stream that takes nothing now', () => {
    const outcome = (code: number) => outcomeOf({ error: { code, description: 'why' } })
    expect(outcome(503).status).toBe('unavailable')
    expect(outcome(400).status).toBe('retry')
    const unavailable = outcome(503)
    expect(String('error' in unavailable && unavailable.error)).toContain('why (503)')
  })

  it('a full stream says what to do', () => {
    const outcome = refusal(10_077, 'maximum bytes exceeded')
    expect(String('error' in outcome && outcome.error)).toContain('raise its limits, or let consumers catch up')
  })

  it('a reply that is none of JetStream is no acknowledgement', () => {
    const strange = ['ok', {}, [], null, { stream: 'S' }, { error: 'no' }, { error: { message: 'no' } }]
    for (const data of [new Uint8Array(), ...strange.map(bytes)]) expect(acknowledgementFrom(data)).toBeUndefined()
  })
})

describe('what is no answer of JetStream', () => {
  const error = new Error('why')

  it.each([
    [{ kind: 'noResponders' }, 'unavailable'],
    [{ kind: 'forbidden', error }, 'unavailable'],
    [{ kind: 'notConnected', error }, 'unavailable'],
    [{ kind: 'callerGone', error }, 'notSent'],
    [{ kind: 'unanswered', error }, 'unknown'],
  ] as const)('%o is %s', (answer, status) => {
    expect(outcomeWithoutReply(answer, 'events.1', 'nats').status).toBe(status)
  })

  it('503 names the subject and what is missing', () => {
    const outcome = outcomeWithoutReply({ kind: 'noResponders' }, 'events.1', 'nats')
    expect(String('error' in outcome && outcome.error)).toContain("no stream takes subject 'events.1'")
  })

  it.each([
    ['MAX_PAYLOAD_EXCEEDED', 'NatsError', 'MAX_PAYLOAD_EXCEEDED', 'reject'],
    ['BAD_SUBJECT', 'NatsError', 'BAD_SUBJECT', 'reject'],
    ['CONNECTION_CLOSED', 'NatsError', 'CONNECTION_CLOSED', 'unavailable'],
    ['CONNECTION_DRAINING', 'NatsError', 'CONNECTION_DRAINING', 'unavailable'],
    ['SERVER_OPT_NA', 'NatsError', 'headers', 'retry'],
    [undefined, 'InvalidArgumentError', "'payload' max_payload size exceeded", 'reject'],
    [undefined, 'InvalidArgumentError', 'something else', 'retry'],
    [undefined, 'InvalidSubjectError', "illegal subject: ' '", 'reject'],
    [undefined, 'ClosedConnectionError', 'closed connection', 'unavailable'],
    [undefined, 'DrainingConnectionError', 'connection draining', 'unavailable'],
    [undefined, 'TypeError', 'cannot read', 'retry'],
  ])('the client throws %s %s (%s): %s', (code, name, message, status) => {
    const thrown = Object.assign(new Error(message), { name }, code === undefined ? {} : { code })
    const outcome = outcomeWithoutReply({ kind: 'clientRefused', error: thrown }, 'events.1', 'nats')
    expect(outcome.status).toBe(status)
    expect('error' in outcome && outcome.error instanceof Error && outcome.error.cause).toBe(thrown)
    if (status === 'unavailable') expect('error' in outcome && OutboxError.is(outcome.error, 'unavailable')).toBe(true)
  })

  it('what is thrown and no error is a retry with its text', () => {
    const outcome = outcomeWithoutReply({ kind: 'clientRefused', error: 'odd' }, 'events.1', 'nats')
    expect(outcome.status).toBe('retry')
    expect(String('error' in outcome && outcome.error)).toContain('odd')
  })
})
