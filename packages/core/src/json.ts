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
  | Error
  | ArrayBuffer
  | ArrayBufferView

/**
 * `T` where JSON keeps every part of it; elsewhere the offending part turns into a sentence.
 *
 * An undefined property is an absent one, as in JSON. `unknown` passes: it is checked at run time.
 */
export type Jsonable<T> = 0 extends 1 & T
  ? T // any
  : unknown extends T
    ? T
    : T extends JsonPrimitive | undefined
      ? T
      : T extends bigint
        ? Invalid<'JSON has no BigInt: pass a string'>
        : T extends PromiseLike<unknown>
          ? Invalid<'a promise: await it first'>
          : T extends { toJSON(): infer J }
            ? J extends JsonPrimitive | object
              ? T
              : Invalid<'its toJSON() gives no JSON'>
            : T extends ((...args: never) => unknown) | symbol
              ? Invalid<'a function or symbol is lost in JSON'>
              : T extends Lost
                ? Invalid<'JSON cannot hold this object (a Map or Set becomes {}): pass an array or a plain object'>
                : T extends object
                  ? { readonly [K in keyof T]: Jsonable<T[K]> }
                  : never

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
 * dates, cycles, Map, Set, RegExp, Error, binary buffers. As in JSON, an undefined property is absent, `toJSON`
 * speaks for its object, and a lone surrogate travels as its escape.
 */
export function findJsonFault(value: unknown): JsonFault | undefined {
  return value === undefined ? fault('undefined is not JSON: {} or null will do') : faultIn(value, [], '')
}

function faultIn(value: unknown, ancestors: object[], key: string): JsonFault | undefined {
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

function faultInObject(value: object, ancestors: object[], key: string): JsonFault | undefined {
  if (ancestors.includes(value)) return fault('a cycle: JSON has no references')
  if (ancestors.length >= maxJsonDepth) return fault(`nested deeper than ${maxJsonDepth} levels`)
  if (typeof (value as { then?: unknown }).then === 'function') return fault('a promise: await it first')
  if (value instanceof Date && Number.isNaN(value.getTime())) return fault('an invalid Date')
  ancestors.push(value)
  const found = hasToJson(value)
    ? faultIn(value.toJSON(key), ancestors, key)
    : Array.isArray(value)
      ? faultInArray(value, ancestors)
      : faultInRecord(value as Record<string, unknown>, ancestors)
  ancestors.pop()
  return found
}

function faultInArray(array: readonly unknown[], ancestors: object[]): JsonFault | undefined {
  for (let index = 0; index < array.length; index++) {
    const found = faultIn(array[index], ancestors, String(index))
    if (found) return at(index, found)
  }
  return undefined
}

function faultInRecord(record: Record<string, unknown>, ancestors: object[]): JsonFault | undefined {
  const kind = lossyKind(record)
  if (kind) return fault(`JSON cannot hold a ${kind}: pass an array or a plain object`)
  if (Object.getOwnPropertySymbols(record).length > 0) return fault('a property keyed by a symbol is lost in JSON')
  for (const key of Object.keys(record)) {
    const property = record[key]
    if (property === undefined) continue
    const found = faultIn(property, ancestors, key)
    if (found) return at(key, found)
  }
  return undefined
}

function lossyKind(value: object): string | undefined {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 'binary buffer'
  for (const kind of [Map, Set, WeakMap, WeakSet, RegExp, Error]) if (value instanceof kind) return kind.name
  return undefined
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
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
