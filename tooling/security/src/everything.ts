import { inspect } from 'node:util'

/** All that a logger could find on a value, however it looks: message, stack, causes, hidden properties. */
export function everythingIn(value: unknown): string {
  const seen = inspect(value, { depth: 12, showHidden: true, maxStringLength: null, maxArrayLength: null })
  return `${seen}\n${String(value)}\n${asJson(value)}`
}

function asJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return '' // a cycle: `inspect` has shown it
  }
}
