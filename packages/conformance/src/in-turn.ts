import type { Awaitable } from '@outbox/core'

/**
 * Runs steps one after the other: at once while they return plain values, awaiting those that return promises.
 *
 * So one check serves both kinds of drivers: a synchronous transaction commits when its callback returns, and must
 * not be handed a promise.
 *
 * @returns what the last step returned
 */
export function inTurn<T>(...steps: readonly [...(() => Awaitable<unknown>)[], () => Awaitable<T>]): Awaitable<T> {
  const last = steps.length - 1
  const from = (index: number): Awaitable<unknown> => {
    const result = steps[index]?.()
    if (index === last) return result
    return isThenable(result) ? result.then(() => from(index + 1)) : from(index + 1)
  }
  // `as`: the last step's result is a T, which the loop over all of them does not show
  return from(0) as Awaitable<T>
}

export function isThenable<T>(value: Awaitable<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Hands a value to the next step: at once if it is there, else when its promise resolves. */
export function whenDone<T, Next>(value: Awaitable<T>, next: (value: T) => Next): Awaitable<Next> {
  return isThenable<T>(value) ? value.then(next) : next(value)
}

/** All values, or a promise of all where there is a promise among them. */
export function allOf<T>(values: readonly Awaitable<T>[]): Awaitable<readonly T[]> {
  const plain = values.flatMap((value) => (isThenable(value) ? [] : [value]))
  return plain.length === values.length ? plain : Promise.all(values)
}
