import { limits, OutboxError } from '@outbox/core'

/** The option `maxPayloadBytes`, or its default. @throws {OutboxError} `invalid-option` */
export function checkMaxPayloadBytes(value: number = limits.payloadBytes): number {
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new OutboxError(
    'invalid-option',
    `The option maxPayloadBytes must be a whole number of bytes above 0, such as ${limits.payloadBytes}.`,
    { option: 'maxPayloadBytes' },
  )
}
