/** A document as the driver gives it, under the options that the outbox asks for: plain numbers, dates, `Binary`. */
export type Document = Readonly<Record<string, unknown>>

export function isDocument(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The documents of a result. */
export function documentsOf(value: unknown): readonly Document[] {
  return Array.isArray(value) && value.every(isDocument) ? value : unexpected('a result', value)
}

export function textIn(document: Document, field: string): string {
  const value = document[field]
  return typeof value === 'string' ? value : unexpected(field, value)
}

export function textOrNullIn(document: Document, field: string): string | null {
  return isAbsent(document[field]) ? null : textIn(document, field)
}

export function numberIn(document: Document, field: string): number {
  const value = document[field]
  return typeof value === 'number' ? value : unexpected(field, value)
}

export function dateIn(document: Document, field: string): Date {
  const value = document[field]
  return value instanceof Date ? value : unexpected(field, value)
}

export function documentIn(document: Document, field: string): Document {
  const value = document[field]
  return isDocument(value) ? value : unexpected(field, value)
}

export function documentsIn(document: Document, field: string): readonly Document[] {
  const value = document[field]
  return isAbsent(value) ? [] : documentsOf(value)
}

export function valuesIn(document: Document, field: string): readonly unknown[] {
  const value = document[field]
  if (isAbsent(value)) return []
  return Array.isArray(value) ? value : unexpected(field, value)
}

export function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined
}

/** Headers, which stand in a document as JSON text: their names may hold dots and dollar signs. */
export function headersIn(document: Document, field: string): Readonly<Record<string, string>> {
  const value: unknown = JSON.parse(textIn(document, field))
  return isDocument(value) && isTexts(value) ? value : unexpected(field, value)
}

function isTexts(document: Document): document is Readonly<Record<string, string>> {
  return Object.values(document).every((value) => typeof value === 'string')
}

export function unexpected(field: string, value: unknown): never {
  throw new TypeError(`The field ${field} of a document is ${value === null ? 'null' : typeof value}.`)
}

/** A number of documents or bytes: whole, not negative, and finite where no limit was meant. */
export function whole(value: number): number {
  return Math.min(Math.max(0, Math.floor(value) || 0), Number.MAX_SAFE_INTEGER)
}
