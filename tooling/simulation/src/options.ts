import { parseArgs } from 'node:util'

export const usage = `pnpm simulate [--seeds A..B | --minutes N [--from A]]
  --seeds 1..2000   which worlds to run, this by default; a single number runs that one
  --minutes 60      one world after the other for so long
  --from 1          the first of them, by default one by chance, which the first line names
The real relay in a simulated world. Ends with 1 when a promise was broken, and tells how; the last line says what was
run and what was found.`

/** Which worlds to run: up to a seed, or for so long. */
export interface Work {
  readonly from: number
  readonly to: number
  readonly minutes: number | undefined
}

/** Seeds are told apart up to here. */
const maxSeed = 2 ** 31 - 1

/** What was asked for makes no sense; the message says why. */
export class Misuse extends Error {}

/**
 * Reads the command line.
 *
 * @param random - gives the first seed where none is named: 0 ≤ x < 1
 * @returns 'help' where help is asked for
 * @throws {Misuse} for anything but what `usage` says
 */
export function workFrom(args: readonly string[], random: () => number): Work | 'help' {
  const { seeds, minutes, from, help } = valuesOf(args)
  if (help) return 'help'
  if (minutes === undefined) {
    if (from !== undefined) throw new Misuse('--from goes with --minutes; --seeds A..B names a first seed itself.')
    return { ...rangeFrom(seeds ?? '1..2000'), minutes: undefined }
  }
  if (seeds !== undefined) throw new Misuse('--seeds and --minutes exclude each other: --minutes N --from A.')
  if (!(Number(minutes) > 0)) throw new Misuse(`--minutes ${minutes}: a number above 0 is needed.`)
  const first = from === undefined ? Math.ceil((1 - random()) * (maxSeed / 2)) : seedFrom('--from', from)
  return { from: first, to: maxSeed, minutes: Number(minutes) }
}

function valuesOf(args: readonly string[]): {
  readonly seeds?: string | undefined
  readonly minutes?: string | undefined
  readonly from?: string | undefined
  readonly help?: boolean | undefined
} {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: { seeds: text, minutes: text, from: text, help: { type: 'boolean' } },
    }).values
  } catch (error) {
    throw new Misuse(error instanceof Error ? error.message : String(error))
  }
}

function rangeFrom(text: string): { readonly from: number; readonly to: number } {
  const [first = '', last = first, ...more] = text.split('..')
  const from = seedFrom(`--seeds ${text}:`, first)
  const to = seedFrom(`--seeds ${text}:`, last)
  if (more.length > 0) throw new Misuse(`--seeds ${text}: A..B is one range.`)
  if (to < from)
    throw new Misuse(`--seeds ${text} is empty: the first seed is above the last. Did you mean ${to}..${from}?`)
  return { from, to }
}

function seedFrom(option: string, text: string): number {
  const seed = Number(text)
  if (!/^\d+$/.test(text) || seed > maxSeed) {
    throw new Misuse(`${option} '${text}' is no seed: a whole number up to ${maxSeed} is one.`)
  }
  return seed
}
