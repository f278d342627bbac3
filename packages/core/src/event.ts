import type { Headers } from './entry.ts'
import type { Invalid, Jsonable } from './json.ts'

/** What happened to one aggregate, as the application says it. A plain object of this shape does as well as `event()`. */
export interface DomainEvent<Type extends string = string, Payload = unknown> {
  /** dotted, `order.placed` */
  readonly type: Type
  readonly aggregateId: string
  /** default: the type's text before its first dot, `order` */
  readonly aggregateType?: string | undefined
  readonly payload: Payload
  /**
   * The aggregate's version that this event made. Left out, the store numbers the aggregate's events in commit
   * order. One aggregate type is numbered in one way only.
   */
  readonly sequence?: number | bigint | undefined
  /** UUID; default a fresh UUIDv7 at each `enqueue`. Give it where the same event may be enqueued twice. */
  readonly id?: string | undefined
  /** default: the time of `enqueue` */
  readonly occurredAt?: Date | undefined
  readonly headers?: Headers | undefined
}

type DottedType<Type extends string> = string extends Type
  ? Type
  : Type extends `.${string}` | `${string}.` | `${string}..${string}` | `${string}${' ' | '\t' | '\n'}${string}`
    ? Invalid<"an event type is dotted, without white space or empty parts: 'order.placed'">
    : Type extends `${string}.${string}`
      ? Type
      : Invalid<"an event type is dotted, aggregate first: 'order.placed'">

/**
 * What `event()` asks for as a payload of type `Payload`. A generic function gives its own parameter this type and
 * hands it on: `function placed<P>(payload: PayloadOf<P>) { return event('order.placed', { aggregateId, payload }) }`.
 */
export type PayloadOf<Payload> = Payload extends undefined
  ? Invalid<'an event needs a payload: {} will do'>
  : Payload extends void
    ? Invalid<'what gives nothing back: an event needs a payload'>
    : Payload extends Jsonable<Payload>
      ? Payload
      : Jsonable<Payload>

/**
 * Makes an event. The payload's type is checked: what JSON would lose does not compile.
 *
 * Nothing is checked or minted here at run time; `enqueue` does that, before anything is written.
 *
 * @example
 * ```ts
 * event('order.placed', { aggregateId: order.id, payload: { totalCents: 4200 } })
 * ```
 */
export function event<const Type extends string, Payload>(
  type: Type & DottedType<Type>,
  content: Omit<DomainEvent<Type, Payload>, 'type' | 'payload'> & { readonly payload: PayloadOf<Payload> },
): DomainEvent<Type, Payload>
export function event(type: string, content: Omit<DomainEvent, 'type'>): DomainEvent {
  return Object.freeze({ ...content, type })
}
