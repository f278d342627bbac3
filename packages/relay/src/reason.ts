/** What may be found on what was thrown, which can be anything. */
interface Thrown {
  readonly message?: unknown
  readonly name?: unknown
  readonly code?: unknown
  readonly cause?: unknown
  readonly errors?: readonly unknown[]
}

const maxLength = 1_000

/** One line that tells a person why; stored beside the entry. Never throws: that would stop the batch. */
export function reasonOf(error: unknown): string {
  try {
    return textOf(error).replace(/\s+/g, ' ').slice(0, maxLength).toWellFormed()
  } catch {
    return 'an unprintable error'
  }
}

/** Which error it is, for those who may not see its message, as that may quote a payload. */
export function nameOf(error: unknown): string {
  const { name = typeof error }: Thrown = Object(error)
  return withCode(name, codeOf(error))
}

/** Of an inner error the code alone, which holds no payload: of a `fetch failed` it is all that tells why. */
function textOf(error: unknown): string {
  if (typeof error === 'string') return error
  const { message, name = `${String(error)} was thrown` }: Thrown = Object(error)
  return withCode(message || name, codeOf(message ? innerOf(error) : error))
}

/** The outermost code; one that is buried deeper than a few errors says little of what went wrong here. */
function codeOf(error: unknown, levels = 4): string | number {
  const { code }: Thrown = Object(error)
  if (typeof code === 'string' || typeof code === 'number') return code
  return levels > 0 ? codeOf(innerOf(error), levels - 1) : ''
}

function innerOf(error: unknown): unknown {
  const { cause, errors }: Thrown = Object(error)
  return cause ?? errors?.[0]
}

function withCode(what: unknown, code: string | number): string {
  const text = String(what)
  return text.includes(String(code)) ? text : `${text} (${code})`
}
