import { OutboxError } from './errors.ts'

/** The error for an option of a factory, or an argument of a method, that cannot work; `of` names the one or the other. */
export function invalidOption(of: string, option: string, problem: string): OutboxError<'invalid-option'> {
  return new OutboxError('invalid-option', `${of}: ${option} ${problem}.`, { option })
}

/**
 * The options that were given, once each is known: a misspelt one would pass for one that was left out. One that is
 * undefined is left out, and so are all where nothing was given.
 *
 * @param known - an object with every option there is, whatever it holds
 * @param within - in front of the names, `retry.` for the options of an option
 * @throws {OutboxError} `invalid-option`, naming the option and those that there are
 */
export function knownOptions<Options extends object>(
  of: string,
  options: Options,
  known: Readonly<Record<keyof NoInfer<Options>, unknown>>,
  within: string = '',
): Options {
  const given = Object.entries(options ?? {})
  for (const [name] of given) {
    if (Object.hasOwn(known, name)) continue
    throw invalidOption(of, within + name, `is unknown; there are: ${Object.keys(known).join(', ')}`)
  }
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Options
}

/** @throws {OutboxError} `invalid-option` for what is no whole number, or is below 1 */
export function requireCount(of: string, option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && Number(value) >= 1) return
  throw invalidOption(of, option, `is ${String(value)}: write a whole number from 1 on`)
}

/** @throws {OutboxError} `invalid-option` for what is no number, or is below 0; endless is a time, too */
export function requireMs(of: string, option: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0) return
  throw invalidOption(of, option, `is ${String(value)}: write milliseconds, from 0 on`)
}
