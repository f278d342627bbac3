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
  const { name = typeof error, code }: Thrown = Object(error)
  return withCode(name, code)
}

/** Of an inner error the code alone, which holds no payload: of a `fetch failed` it is all that tells why. */
function textOf(error: unknown): string {
  if (typeof error === 'string') return error
  const { message, name = `${String(error)} was thrown`, code, cause, errors }: Thrown = Object(error)
  const { code: inner = message ? undefined : code }: Thrown = Object(cause ?? errors?.[0])
  return withCode(message || name, inner)
}

function withCode(what: unknown, code: unknown = ''): string {
  const text = String(what)
  return text.includes(String(code)) ? text : `${text} (${code})`
}
