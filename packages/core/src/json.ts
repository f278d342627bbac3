import { describe, isDate, kindOf } from './kind.ts'

declare const invalid: unique symbol

/** A type that no value has: `Message` is what the compiler prints. */
export interface Invalid<Message extends string> {
  readonly [invalid]: Message
}

type JsonPrimitive = string | number | boolean | null
type Lost =
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | WeakMap<WeakKey, unknown>
  | WeakSet<WeakKey>
  | RegExp
  | ArrayBuffer
  | ArrayBufferView

/** Every error has a `stack`; a plain record with a name and a message has not, and is welcome. */
type ErrorLike<T> = 'stack' extends keyof T ? Error : never

/**
 * `T` where JSON keeps every part of it; elsewhere the offending part turns into a sentence.
 *
 * An undefined property is an absent one, as in JSON. `unknown` passes: it is checked at run time.
 */
export type Jsonable<T> = unknown extends T
  ? T // any, too
  : T extends JsonPrimitive | undefined
    ? T
    : T extends bigint
      ? Invalid<'JSON has no BigInt: pass a string'>
      : T extends PromiseLike<unknown>
        ? Invalid<'a promise: await it first'>
        : T extends { toJSON(key: string): infer J }
          ? J extends JsonPrimitive | object
            ? T
            : Invalid<'its toJSON() gives no JSON'>
          : T extends ((...args: never) => unknown) | symbol
            ? Invalid<'a function or symbol is lost in JSON'>
            : T extends Lost | ErrorLike<T>
              ? Invalid<'JSON cannot hold this object (a Map or Set becomes {}): pass an array or a plain object'>
              : T extends readonly (infer Element)[]
                ? readonly JsonElement<Element>[] // written as an array, so that a recursive type ends here
                : T extends object
                  ? { readonly [K in keyof T]: Jsonable<T[K]> }
                  : never

type JsonElement<T> = unknown extends T
  ? T
  : T extends undefined
    ? Invalid<'undefined in an array turns into null: pass null or leave it out'>
    : Jsonable<T>

/** JSON text, exactly the bytes that go to the broker. */
export type JsonText = string

/** Where in a value something stands that JSON would lose, and what it is. */
export interface JsonFault {
  /** innermost key first */
  readonly keys: (string | number)[]
  readonly message: string
}

/** Deeper than any sane payload, shallower than any parser's stack. */
export const maxJsonDepth = 256

/**
 * The first thing in `value` that JSON would silently change or drop, or `undefined` when nothing is lost.
 *
 * Refused: undefined at the top or in an array, BigInt, NaN and infinities, functions, symbols, promises, invalid
 * dates, cycles, Map, Set, RegExp, Error, binary data without a `toJSON` (Node's Buffer has one), boxed primitives,
 * properties of an array beside its elements, getters of a class. As in JSON, an undefined property is absent, `toJSON`
 * speaks for its object, only own enumerable properties count (methods of a class do not), -0 is 0, and a lone surrogate
 * travels as its escape. An object's own getters and `toJSON` are called here and once more by `JSON.stringify`: they
 * must say the same twice.
 */
export function findJsonFault(value: unknown): JsonFault | undefined {
  return value === undefined ? fault('undefined is not JSON: {} or null will do') : faultIn(value, [], '')
}

function faultIn(value: unknown, ancestors: object[], key: string | number): JsonFault | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : fault(`JSON has no ${value}`)
    case 'bigint':
      return fault('JSON has no BigInt: pass a string')
    case 'undefined':
      return fault('undefined in an array turns into null: pass null or leave it out')
    case 'function':
    case 'symbol':
      return fault(`a ${typeof value} is lost in JSON`)
    default:
      return value === null ? undefined : faultInObject(value as object, ancestors, key)
  }
}

function faultInObject(value: object, ancestors: object[], key: string | number): JsonFault | undefined {
  if (ancestors.includes(value)) return fault('a cycle: JSON has no references')
  if (ancestors.length >= maxJsonDepth) return fault(`nested deeper than ${maxJsonDepth} levels`)
  if (typeof (value as { then?: unknown }).then === 'function') return fault('a promise: await it first')
  ancestors.push(value)
  const found = hasToJson(value) ? faultInToJson(value, ancestors, key) : faultInParts(value, ancestors)
  ancestors.pop()
  return found
}

/** JSON calls `toJSON` once: what it gives is written as it stands, even if that has a `toJSON` of its own. */
function faultInToJson(value: WithToJson, ancestors: object[], key: string | number): JsonFault | undefined {
  if (isDate(value) && Number.isNaN(value.getTime())) return fault('an invalid Date')
  const given = value.toJSON(String(key))
  if (given === undefined) return fault('its toJSON() gives undefined')
  return typeof given === 'object' && given !== null ? faultInParts(given, ancestors) : faultIn(given, ancestors, key)
}

function faultInParts(value: object, ancestors: object[]): JsonFault | undefined {
  for (const symbol of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, symbol)) {
      return fault('a property keyed by a symbol is lost in JSON')
    }
  }
  return Array.isArray(value) ? faultInArray(value, ancestors) : faultInRecord(value, ancestors)
}

function faultInArray(array: readonly unknown[], ancestors: object[]): JsonFault | undefined {
  for (let index = 0; index < array.length; index++) {
    const found = faultIn(array[index], ancestors, index)
    if (found) return at(index, found)
  }
  // there is no hole: what comes after the elements is something else
  for (const key of Object.keys(array).slice(array.length)) {
    if (Reflect.get(array, key) !== undefined) return at(key, fault('a property of an array is lost in JSON'))
  }
  return undefined
}

function faultInRecord(record: object, ancestors: object[]): JsonFault | undefined {
  if (isLossy(record)) return fault(`JSON cannot hold ${describe(record)}: pass an array or a plain object`)
  const getter = getterOf(Object.getPrototypeOf(record))
  if (getter) return fault(`a getter ('${getter}') is lost in JSON: write a toJSON()`)
  for (const key of Object.keys(record)) {
    const property = (record as Record<string, unknown>)[key]
    if (property === undefined) continue
    const found = faultIn(property, ancestors, key)
    if (found) return at(key, found)
  }
  return undefined
}

/** Those that may have properties beside what they hold. */
const lossyKinds = /^(?:Map|Set|Error|String|\w+Array)$/

/** Built-in objects keep what they hold where JSON does not look: most of them look empty. */
function isLossy(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return false
  const kind = kindOf(value)
  return kind !== 'Object' && (lossyKinds.test(kind) || Object.keys(value).length === 0)
}

/** A property that a class computes: its type says that it is there, and JSON leaves it out. */
function getterOf(prototype: object | null): string | undefined {
  if (!prototype || prototype === Object.prototype) return undefined
  for (const [name, { get }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
    if (get && name !== '__proto__') return name
  }
  return getterOf(Object.getPrototypeOf(prototype))
}

interface WithToJson {
  toJSON(key: string): unknown
}

function hasToJson(value: object): value is WithToJson {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function'
}

function fault(message: string): JsonFault {
  return { keys: [], message }
}

function at(key: string | number, found: JsonFault): JsonFault {
  found.keys.push(key)
  return found
}

/** `payload.lines[2].price`, for a message; keys that are not plain names are quoted. */
export function formatPath(root: string, keys: readonly (string | number)[]): string {
  let path = root
  for (const key of keys) {
    if (typeof key === 'number') path += `[${key}]`
    else path += /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
  }
  return path
}
