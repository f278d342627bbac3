import { invalidOption } from '../options.ts'

/** For publishers: what names a destination for people. @throws {OutboxError} `invalid-option` for no text, or an empty one */
export function requireName(of: string, name: unknown): void {
  if (typeof name !== 'string' || name === '') throw invalidOption(of, 'name', 'must be a string, and not empty')
}
