const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** Headers as stored. @throws {TypeError} for what is no JSON object of texts, naming the column and never the value */
export function headersFrom(text: string, column: string): Readonly<Record<string, string>> {
  if (text === '{}') return noHeaders
  const value: unknown = JSON.parse(text)
  if (isTexts(value)) return value
  throw new TypeError(`The column ${column} of a result is no JSON object of texts.`)
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((item) => typeof item === 'string')
}
