import { type DueEntry, OutboxError, permanent } from '@outbox/core'
import { callbackFailed } from '@outbox/core/adapter'

/** A subject as text with placeholders, or the caller's own function. */
export type SubjectOption = string | ((entry: DueEntry) => string)

export interface SubjectTemplate {
  readonly subjectOf: (entry: DueEntry) => string
  /** every subject that the template can make, with wildcards: `events.*.*.>` */
  readonly wildcard: string
  /** true: an aggregate has one subject, whatever the event, and shares it with no aggregate of its type */
  readonly isPerAggregate: boolean
}

const placeholders: Readonly<Record<string, (entry: DueEntry) => string>> = Object.freeze({
  aggregateType: (entry: DueEntry) => escapeSubjectToken(entry.aggregateType),
  aggregateId: (entry: DueEntry) => escapeSubjectToken(entry.aggregateId),
  eventType: (entry: DueEntry) => entry.eventType.split('.').map(escapeSubjectToken).join('.'),
})

/** The server takes protocol lines of 4,096 bytes by default; the reply subject and the sizes need some of them. */
const maxSubjectBytes = 3_500

/**
 * Makes one token of a subject from any text, reversibly.
 *
 * ASCII letters, digits and `-_~!'()` stay; every other character (dots, spaces, `*`, `>`, `$`, controls, all that is
 * not ASCII) becomes `%XX` per byte of its UTF-8. Two texts never share a token; `decodeURIComponent` reads it back.
 *
 * @throws {URIError} for text with a lone surrogate, which no entry holds
 *
 * @example
 * ```ts
 * natsPublisher({ connection, subject: (entry) => `audit.${escapeSubjectToken(entry.aggregateId)}` })
 * ```
 */
export function escapeSubjectToken(text: string): string {
  return encodeURIComponent(text).replaceAll('.', '%2E').replaceAll('*', '%2A')
}

/**
 * Reads a template such as `events.{aggregateType}.{aggregateId}.{eventType}`.
 *
 * Types and ids are one token each, escaped. The dots of the event type stay, as separators of tokens.
 *
 * @throws {OutboxError} `invalid-option` for an unknown placeholder, and for what is no subject to publish to
 */
export function subjectTemplate(template: string): SubjectTemplate {
  if (template.includes('${')) throw invalidSubject(`'${template}' contains \${: placeholders stand without $`)
  const parts = template.split(/\{([^{}]*)\}/)
  const names = parts.filter((_, index) => index % 2 === 1)
  for (const name of names) {
    if (!Object.hasOwn(placeholders, name)) {
      throw invalidSubject(
        `has an unknown placeholder {${name}}: there are {aggregateType}, {aggregateId}, {eventType}`,
      )
    }
  }
  const fault = subjectFault(parts.map((part, index) => (index % 2 === 1 ? 'x' : part)).join(''))
  if (fault) throw invalidSubject(fault)
  return {
    subjectOf: (entry) => parts.map((part, index) => (index % 2 === 1 ? placeholders[part]?.(entry) : part)).join(''),
    wildcard: wildcardOf(template),
    isPerAggregate: names.includes('aggregateId') && !names.includes('eventType'),
  }
}

function wildcardOf(template: string): string {
  const tokens: string[] = []
  for (const token of template.split('.')) {
    // an event type is one token or several: nothing can be said of what follows it
    if (token.includes('{eventType}')) return [...tokens, '>'].join('.')
    tokens.push(token.includes('{') ? '*' : token)
  }
  return tokens.join('.')
}

function invalidSubject(fault: string): OutboxError<'invalid-option'> {
  return new OutboxError(
    'invalid-option',
    `natsPublisher: subject ${fault}. Write it like 'events.{aggregateType}.{aggregateId}.{eventType}', or give a function.`,
    { option: 'subject' },
  )
}

/**
 * The subject of one entry, checked.
 *
 * @throws {OutboxError} `rejected` when it cannot be published to, `callback-failed` when it is no text
 */
export function checkedSubject(subject: unknown, system: string): string {
  if (typeof subject !== 'string') {
    throw callbackFailed('subject of natsPublisher', `returned ${typeof subject}, not text`)
  }
  const fault = subjectFault(subject)
  if (fault === undefined) return subject
  throw permanent(`The subject ${fault}. Escape what comes from outside with escapeSubjectToken().`, { system })
}

/** Why a text is no subject to publish to; undefined if it is one. */
function subjectFault(subject: string): string | undefined {
  if (subject === '') return 'is empty'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters would break the protocol's line
  if (/[\s\u0000-\u001f\u007f]/.test(subject)) return 'contains white space or a control character'
  const tokens = subject.split('.')
  if (tokens.includes('')) return `'${subject}' has an empty token`
  if (tokens.some((token) => token === '*' || token === '>')) return `'${subject}' contains a wildcard`
  if (tokens[0]?.startsWith('$')) return `'${subject}' begins with $, which belongs to the server`
  const bytes = Buffer.byteLength(subject)
  return bytes > maxSubjectBytes ? `is ${bytes} bytes long; the limit is ${maxSubjectBytes}` : undefined
}

/** Whether every subject that `inner` matches is matched by `outer`; both may hold wildcards. */
export function coversSubject(outer: string, inner: string): boolean {
  const wide = outer.split('.')
  const narrow = inner.split('.')
  for (const [index, token] of wide.entries()) {
    const other = narrow[index]
    if (other === undefined) return false
    if (token === '>') return true
    if (other === '>' || (token !== '*' && token !== other)) return false
  }
  return wide.length === narrow.length
}
