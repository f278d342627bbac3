import { createRequire } from 'node:module'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { asCommonJs } from '../src/commonjs.ts'

it('a module with top-level await becomes CommonJS that exports a promise', async () => {
  const code = await asCommonJs(`
    import { join as glue } from 'node:path'
    const late: string = await Promise.resolve('b')
    export function place(a: string): string { return glue(a, late) }
  `)
  const module: { exports: unknown } = { exports: undefined }
  runInNewContext(code, { module, require: createRequire(import.meta.url) })
  const { place } = (await module.exports) as { place: (a: string) => string }
  expect(place('a')).toBe('a/b')
})

it('refuses what it does not understand', async () => {
  await expect(asCommonJs(`import path from 'node:path'\nexport const a = path.sep`)).rejects.toThrow('not understood')
})
