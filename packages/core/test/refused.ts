import { inspect } from 'node:util'
import { expect } from 'vitest'
import { type EntryOptions, entriesFrom } from '../src/adapter/index.ts'
import { type Enqueueable, OutboxError } from '../src/index.ts'

export const anId = '0190a6b0-9f6a-7c3e-8a54-2f7f0cf1a111'
export const aTime = new Date('2026-03-01T12:00:00.123Z')
export const entryOptions: EntryOptions = { newId: () => anId, now: () => aTime.getTime() }

/** The `invalid-event` error that `action` throws; a test fails if it throws anything else, or nothing. */
export function refusedBy(action: () => unknown): OutboxError<'invalid-event'> {
  try {
    action()
  } catch (error) {
    if (OutboxError.is(error, 'invalid-event')) return error
    throw new Error(`expected an invalid-event error, got ${inspect(error)}`, { cause: error })
  }
  return expect.unreachable('nothing was refused')
}

/** Refuses events as `enqueue` would; `unknown`, because JavaScript can pass anything. */
export function refused(events: unknown, options: EntryOptions = entryOptions): OutboxError<'invalid-event'> {
  return refusedBy(() => entriesFrom(events as Enqueueable, options))
}
