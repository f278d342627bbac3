import { fileURLToPath } from 'node:url'
import { checkSync } from 'recheck'
import { describe, expect, it } from 'vitest'
import { patternsUnder } from '../src/patterns.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const { literals, made } = patternsUnder(root)
// the analysis is written in JavaScript too: nothing of it depends on the machine
process.env['RECHECK_BACKEND'] = 'pure'

describe('regular expressions of the packages', () => {
  it('are found', () => {
    expect(literals.length).toBeGreaterThan(30)
    // one that every reader of the sources would find
    expect(literals).toContainEqual(expect.objectContaining({ file: 'packages/core/src/limits.ts', source: '\\s' }))
  })

  it('are built from text in these places alone, from names that the code gives', () => {
    expect(made.map((call) => call.split(': ')[0])).toEqual([
      'packages/drizzle/src/shared/needed.ts',
      'packages/redis/src/check.ts',
    ])
  })

  it('are judged by something that knows a bad one', () => {
    expect(checkSync('^(a+)+$', '').status).toBe('vulnerable')
    expect(checkSync('(.*), (.*)x', 's').status).toBe('vulnerable')
  })

  it.each(literals.map((one) => [`/${one.source}/${one.flags}`, one] as const))(
    '%s takes time in proportion to the text',
    (_, { file, source, flags }) => {
      const found = checkSync(source, flags, { timeout: 120_000 })
      const how = 'attack' in found ? found.attack?.pattern : 'not within the time'
      expect(found.status, `${file}: ${how}`).toBe('safe')
    },
  )
})
