import { setImmediate } from 'node:timers/promises'
import { type Enqueueable, OutboxError, type Receipt } from '@outbox/core'
import { expect } from 'vitest'
import { type Claim, claimsOf } from './claims.ts'
import { answerOf, type OpenPair, type Pair } from './pair.ts'
import type { Ending } from './side.ts'
import { expectSame } from './step.ts'

/** Opens a transaction on both sides. */
export async function begin(pair: Pair): Promise<OpenPair> {
  const transaction: OpenPair = {
    model: await pair.model.begin(),
    real: await pair.real.begin(),
    hasRead: false,
    given: new Set<string>(),
    written: new Map<string, readonly string[]>(),
    missed: new Set<string>(),
  }
  pair.memo.open.push(transaction)
  return transaction
}

/** Ends a transaction on both sides. */
export async function end({ memo }: Pair, transaction: OpenPair, ending: Ending): Promise<void> {
  memo.open.splice(memo.open.indexOf(transaction), 1)
  await transaction.model.end(ending)
  await transaction.real.end(ending)
  if (ending === 'roll back') return
  for (const [id, names] of transaction.written) {
    memo.written.set(id, names)
    for (const other of memo.open) if (other.hasRead) for (const name of names) other.missed.add(name)
  }
}

/**
 * Enqueues on both sides. Where that meets other open transactions, they end while it waits; or it is told `busy`, where
 * that is what the store does. What is refused is rolled back, as an application would.
 *
 * @param othersEnd - how those that it waits for end
 */
export async function write(
  pair: Pair,
  transaction: OpenPair,
  events: readonly Enqueueable[],
  othersEnd: Ending,
): Promise<void> {
  const claims = claimsOf(events).filter((claim) => isComparable(pair, transaction, claim))
  if (claims.length === 0) return
  transaction.hasRead = true
  const others = pair.memo.open.filter((other) => other !== transaction)
  const contested = claims.filter((claim) => isContested(claim, transaction, others))
  if (pair.can.waitsForWriters !== true && contested.length > 0) return meet(pair, transaction, contested)
  const inTheWay = others.filter(({ given }) => claims.some(({ names }) => isAnyIn(given, names)))
  const given = claims.map(({ event }) => event)
  const modelAnswer = answerOf(transaction.model.enqueue(given))
  const realAnswer = answerOf(transaction.real.enqueue(given))
  const [model, real] = await Promise.all([
    modelAnswer,
    realAnswer,
    makeWay(pair, realAnswer, inTheWay, leavesGap(claims, inTheWay) ? 'roll back' : othersEnd),
  ])
  expectSame('enqueue', real, model)
  if (!('value' in model)) return end(pair, transaction, 'roll back')
  for (const { names } of claims) for (const name of names) transaction.given.add(name)
  noteWritten(transaction.written, claims, model.value)
}

/** Notes what the receipts tell as new. */
export function noteWritten(
  written: Map<string, readonly string[]>,
  claims: readonly Claim[],
  receipts: readonly Receipt[],
): void {
  receipts.forEach(({ duplicate }, index) => {
    const claim = claims[index]
    if (claim && !duplicate) written.set(claim.id, claim.names)
  })
}

/** What is not promised is not written. */
function isComparable({ memo, can }: Pair, transaction: OpenPair, { aggregate, isNumbered, names }: Claim): boolean {
  if (isAnyIn(memo.spared.names, names)) return false
  if (can.ordersUnseenNumbers === true || !isNumbered) return true
  return !memo.open.some(
    (other) => other !== transaction && [...other.given].some((name) => name.endsWith(` of ${aggregate}`)),
  )
}

function isContested({ names }: Claim, { missed }: OpenPair, others: readonly OpenPair[]): boolean {
  return isAnyIn(missed, names) || others.some(({ written }) => [...written.values()].some((of) => isShared(of, names)))
}

/**
 * All of `contested` is there already as the transaction sees it; or it is told `busy`, or that a number is taken which
 * it sees to be, and rolls back.
 */
async function meet(pair: Pair, transaction: OpenPair, contested: readonly Claim[]): Promise<void> {
  const told = await busyOr(answerOf(transaction.real.enqueue(contested.map(({ event }) => event))))
  if (told === 'busy') return end(pair, transaction, 'roll back')
  if ('refusedWith' in told) {
    expect(told.refusedWith, 'what another transaction writes is told as busy').toBe('sequence-conflict')
    expect(
      contested.some((claim) => isSeenTaken(pair, transaction, claim, contested)),
      'another entry has the number, as the transaction sees it',
    ).toBe(true)
    return end(pair, transaction, 'roll back')
  }
  for (const { names } of contested) for (const name of names) transaction.given.add(name)
  expect(
    told.value.filter(({ duplicate }) => !duplicate),
    'what another transaction writes is told as busy',
  ).toEqual([])
}

/** Whether another entry of the same batch, of the same transaction, or committed before its first read has the number. */
function isSeenTaken({ memo }: Pair, { written, missed }: OpenPair, claim: Claim, batch: readonly Claim[]): boolean {
  if (!claim.isNumbered) return false
  const owners = [...memo.written, ...written, ...batch.map(({ id, names }) => [id, names] as const)]
  return claim.names.some(
    (name) => !missed.has(name) && owners.some(([id, names]) => id !== claim.id && names.includes(name)),
  )
}

async function busyOr<T>(call: Promise<T>): Promise<T | 'busy'> {
  try {
    return await call
  } catch (error) {
    if (OutboxError.is(error, 'busy')) return 'busy'
    throw error
  }
}

/** Ends the transactions in the way once the store is seen to wait for them, or had no need to. */
async function makeWay(
  pair: Pair,
  enqueued: Promise<unknown>,
  inTheWay: readonly OpenPair[],
  ending: Ending,
): Promise<void> {
  if (inTheWay.length === 0) return
  let isOver = false
  const over = (): void => {
    isOver = true
  }
  enqueued.then(over, over)
  while (!isOver && !(await pair.isWaiting())) await setImmediate()
  for (const other of inTheWay) await end(pair, other, ending)
}

/**
 * A number may have been taken for an entry that turns out to be there once the other transaction has committed. Gaps
 * mean nothing, and the model has none; where it has rolled back there is no gap.
 */
function leavesGap(claims: readonly Claim[], others: readonly OpenPair[]): boolean {
  return claims.some(({ id, isNumbered }) => !isNumbered && others.some(({ written }) => written.has(id)))
}

function isAnyIn(names: ReadonlySet<string>, wanted: readonly string[]): boolean {
  return wanted.some((name) => names.has(name))
}

function isShared(names: readonly string[], others: readonly string[]): boolean {
  return names.some((name) => others.includes(name))
}
