import type { ErrorCode, LeasedSource } from '@outbox/core'
import { OutboxError } from '@outbox/core'
import { expect } from 'vitest'

/** The sequences of one aggregate among the entries, in order. */
export function sequencesOf(
  entries: readonly { readonly aggregateId: string; readonly sequence: number }[],
  aggregateId: string,
): readonly number[] {
  return entries.filter((entry) => entry.aggregateId === aggregateId).map(({ sequence }) => sequence)
}

/** 1, 2, … `last` */
export function upTo(last: number): readonly number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}

/** The outbox error of the given code that a promise rejects with; anything else fails the check. */
export async function failure<Code extends ErrorCode>(
  code: Code,
  attempt: PromiseLike<unknown>,
): Promise<OutboxError<Code>> {
  const [outcome] = await Promise.allSettled([attempt])
  if (outcome.status === 'fulfilled') throw new Error(`Expected an OutboxError '${code}', and nothing was thrown.`)
  return expectFailure(code, outcome.reason)
}

/** Shows that what was thrown is the outbox error of the given code. */
export function expectFailure<Code extends ErrorCode>(code: Code, thrown: unknown): OutboxError<Code> {
  if (OutboxError.is(thrown, code)) return thrown
  throw new Error(`Expected an OutboxError '${code}', got: ${describeError(thrown)}`, { cause: thrown })
}

function describeError(error: unknown): string {
  if (OutboxError.is(error)) return `OutboxError '${error.code}': ${error.message}`
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

/** Shows that the outbox holds nothing that could ever be delivered. */
export async function expectEmpty(store: LeasedSource): Promise<void> {
  expect(await store.fetchUnpublished(1000)).toEqual([])
  expect(await store.stats()).toEqual({ pending: 0, dead: 0, oldestPendingAgeMs: null })
}
