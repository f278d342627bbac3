import { expect, it } from 'vitest'
import { withLoadedCode } from '../src/loaded-code.ts'
import { snippetsOf } from '../src/snippets.ts'

const file = ['import nothing', '// #region sum', 'const sum = 1 + 1', '// #endregion', 'the rest', ''].join('\n')
const page = (mark: string, code: string): string =>
  `Text\n\n<!-- code: ${mark} -->\n\`\`\`ts\n${code}\n\`\`\`\nMore text\n`
const load = (text: string): string => withLoadedCode('page.md', text, () => file)

it('a marked block holds the region of the file', () => {
  expect(load(page('a.ts#sum', 'const sum = 3\nstale()'))).toBe(page('a.ts#sum', 'const sum = 1 + 1'))
})

it('a marker without a region stands for the whole file', () => {
  expect(load(page('a.ts', ''))).toBe(page('a.ts', file.trimEnd()))
})

it('what is as the file says stays as it is, and so does unmarked code', () => {
  const text = `${page('a.ts#sum', 'const sum = 1 + 1')}\n\`\`\`ts\nconst own = 1\n\`\`\`\n`
  expect(load(text)).toBe(text)
})

it('a region or a block that is missing is a mistake', () => {
  expect(() => load(page('a.ts#product', ''))).toThrow("a.ts has no region 'product'")
  expect(() => load('<!-- code: a.ts#sum -->\nText\n')).toThrow('page.md:1: the code comment stands above no block')
  expect(() => withLoadedCode('page.md', page('no-such-file.ts', ''))).toThrow('there is no file no-such-file.ts')
})

it('a loaded block is no snippet: it is compiled where it stands', () => {
  expect(snippetsOf('page.md', page('a.ts#sum', 'const sum = 1 + 1'))).toEqual([])
})
