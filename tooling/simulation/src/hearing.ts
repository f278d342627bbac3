import { type Lease, type LeaseState, OutboxError } from '@outbox/core'
import type { History, StoreAnswer } from './history.ts'

/** Passes a call of the store on, and writes down what the relay hears of it, at the moment when it does. */
export async function heard<T>(
  history: History,
  relay: string,
  call: Promise<T>,
  answerOf: (value: T) => StoreAnswer = () => ({ call: 'other' }),
): Promise<T> {
  const record = (answer: StoreAnswer): void => history.record({ kind: 'heard', relay, answer })
  try {
    const value = await call
    record(answerOf(value))
    return value
  } catch (error) {
    record({ call: 'failed', isAway: OutboxError.is(error, 'unavailable') })
    throw error
  }
}

/** Of all leases, those of one holder. */
export function leasesOf(holder: string, states: readonly LeaseState[]): readonly Lease[] {
  return states.flatMap((state) => (state.holder === holder ? { ...state, holder } : []))
}
