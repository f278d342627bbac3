import type fc from 'fast-check'
import { expect } from 'vitest'
import { type Answer, answerOf, type Pair, type Side } from './pair.ts'

/** One thing that is done to both sides. */
export type Step = fc.AsyncCommand<object, Pair>

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
  const { compared = (answer: T): unknown => answer, after } = options
  const view = (answer: Answer<T>): unknown => ('value' in answer ? compared(answer.value) : sameFault(answer))
  return {
    check: () => true,
    toString: () => `${name}(${args.map((arg) => JSON.stringify(arg)).join(', ')})`,
    async run(_, pair) {
      const model = await answerOf(act(pair.model, pair, 'model'))
      const real = await answerOf(act(pair.real, pair, 'real'))
      expect(view(real), `${name} answers as the model does`).toEqual(view(model))
      if ('value' in real && 'value' in model) after?.(real.value, model.value, pair)
    },
  }
}

/** Which of two faults of one batch is told is left open. */
const sameFault = (answer: Answer<unknown>): unknown =>
  'refusedWith' in answer && answer.refusedWith.startsWith('sequence-') ? { refusedWith: 'sequence' } : answer
