import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { type ErrorCode, limits, OutboxError } from '../src/index.ts'
import { compile } from './compile.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const tables = readme.replaceAll(/ +\|/g, ' |')

test('every TypeScript snippet of the README compiles', async () => {
  const snippets = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(
    ([, code = ''], i) => [`snippet ${i}`, code] as const,
  )
  expect(snippets.length).toBeGreaterThanOrEqual(6)
  const answers = await compile(new Map(snippets))
  for (const [name, code] of snippets) expect(answers.get(name), code).toBe('')
})

test('the README names every error code, and which are worth trying again', () => {
  const rows = [...tables.matchAll(/^\| `([a-z-]+)` \| [^|]+ \| (yes|no) \|/gm)]
  const documented = new Map(rows.map(([, code = '', retryable]) => [code, retryable === 'yes']))
  const codes: Record<ErrorCode, true> = {
    'invalid-event': true,
    'invalid-option': true,
    'not-a-transaction': true,
    'sequence-conflict': true,
    'sequence-source-mixed': true,
    'setup-required': true,
    unavailable: true,
    unanswered: true,
    busy: true,
    rejected: true,
    'callback-failed': true,
  }
  expect(new Set(documented.keys())).toEqual(new Set(Object.keys(codes)))
  for (const [code, isRetryable] of documented) {
    expect([code, new OutboxError(code as 'busy', '', { system: '' }).isRetryable]).toEqual([code, isRetryable])
  }
})

test('the README’s limits are those of the code', () => {
  expect(tables).toContain(`| event type, aggregate type | ${limits.nameBytes} bytes each |`)
  expect(tables).toContain(`| aggregate id | ${limits.aggregateIdBytes} bytes |`)
  expect(tables).toContain(`| consumer and message id, in an inbox | ${limits.messageIdBytes} bytes each |`)
  expect(limits.consumerBytes).toBe(limits.messageIdBytes)
  expect(tables).toContain(`| payload, as JSON | ${limits.payloadBytes / 2 ** 20} MiB;`)
  expect(tables).toContain(
    `| headers | ${limits.headerCount}; a name ${limits.headerNameBytes} bytes; names and values together ${limits.headersBytes / 1024} KiB |`,
  )
})
