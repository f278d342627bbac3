import { OutboxError } from './errors.ts'
import { kindOf } from './kind.ts'

/** The error for an option of a factory, or an argument of a method, that cannot work; `of` names the one or the other. */
export function invalidOption(of: string, option: string, problem: string): OutboxError<'invalid-option'> {
  return new OutboxError('invalid-option', `${of}: ${option} ${problem}.`, { option })
}

/** The options that were given: none is there and undefined. */
type Given<Options> = { readonly [Name in keyof Options]: Exclude<Options[Name], undefined> }

/**
 * The given options, without those that are undefined; nothing given means no options.
 *
 * Refuses a name that is not in `known`: a misspelt option would be ignored in silence otherwise. Refuses a list, a Map
 * or a promise, which would pass for an object without options. An instance of a class is taken, with what it inherits;
 * its methods are bound to it.
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
): Given<Options> {
  const names = Object.keys(known)
  const given: object = Object(options ?? {})
  const refuse = (option: string, problem: string): Error =>
    invalidOption(of, option, `${problem}; there are: ${names.join(', ')}`)
  if (kindOf(given) !== 'Object') throw refuse(within.slice(0, -1) || 'argument', 'must be an object of options')
  for (const name of Object.keys(given)) if (!names.includes(name)) throw refuse(within + name, 'is unknown')
  const members = names.map((name) => [name, memberOf(given, name)] as const)
  return Object.fromEntries(members.filter(([, value]) => value !== undefined)) as Given<Options>
}

/** A method stays with its instance; what an object has itself is handed on as it is. */
function memberOf(given: object, name: string): unknown {
  const value: unknown = Reflect.get(given, name)
  return typeof value === 'function' && !Object.hasOwn(given, name) ? value.bind(given) : value
}

/** A value as a message has it: text in quotes, so that '5' is not taken for the number that it is not. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}

/** @throws {OutboxError} `invalid-option` for what is no whole number, or is below 1 */
export function requireCount(of: string, option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && Number(value) >= 1) return
  throw invalidOption(of, option, `is ${shown(value)}: write a whole number from 1 on`)
}

/** @throws {OutboxError} `invalid-option` for what is no number, or is below 0; endless is a time, too */
export function requireMs(of: string, option: string, value: unknown): void {
  if (typeof value === 'number' && value >= 0) return
  throw invalidOption(of, option, `is ${shown(value)}: write milliseconds, from 0 on`)
}
