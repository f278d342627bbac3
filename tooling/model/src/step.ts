import type fc from 'fast-check'
import { expect } from 'vitest'
import { type Answer, answerOf, type Pair } from './pair.ts'
import type { Side } from './side.ts'

/** One thing that is done to both sides. */
export type Step = fc.AsyncCommand<object, Pair>

/** A step that compares what it must itself. */
export function ownStep(name: string, args: readonly unknown[], run: (pair: Pair) => Promise<void>): Step {
  return {
    check: () => true,
    toString: () => `${name}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`,
    run: (_, pair) => run(pair),
  }
}

/** Does one thing on both sides, and compares what came back. */
export function step<Args extends readonly unknown[], T>(
  name: string,
  args: Args,
  act: (side: Side, pair: Pair, which: 'real' | 'model') => Promise<T>,
  options: {
    /** what of the answer both sides must agree on */
    readonly compared?: (answer: T) => unknown
    readonly after?: (real: T, model: T, pair: Pair) => void
  } = {},
): Step {
  const { compared, after } = options
  return ownStep(name, args, async (pair) => {
    const model = await answerOf(act(pair.model, pair, 'model'))
    const real = await answerOf(act(pair.real, pair, 'real'))
    expectSame(name, real, model, compared)
    if ('value' in real && 'value' in model) after?.(real.value, model.value, pair)
  })
}

export function expectSame<T>(
  name: string,
  real: Answer<T>,
  model: Answer<T>,
  compared: (answer: T) => unknown = (answer) => answer,
): void {
  const view = (answer: Answer<T>): unknown => ('value' in answer ? compared(answer.value) : sameFault(answer))
  expect(view(real), `${name} answers as the model does`).toEqual(view(model))
}

/** Which of two faults of one batch is told is left open. */
const sameFault = (answer: { readonly refusedWith: string }): unknown =>
  answer.refusedWith.startsWith('sequence-') ? { refusedWith: 'sequence' } : answer
