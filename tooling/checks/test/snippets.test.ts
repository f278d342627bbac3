import { expect, it } from 'vitest'
import { allSnippets, documentLine, snippetsOf, sourceOf } from '../src/snippets.ts'

const block = (code: string) => `\`\`\`ts\n${code}\n\`\`\`\n`

it('a block without a name is a file of its own', () => {
  const snippets = snippetsOf('a.md', `Text\n\n${block('const a = 1')}\n${block('const a = 2')}`)
  expect(snippets.map(({ name }) => name)).toEqual(['line-3', 'line-7'])
  expect(snippets.map(sourceOf)).toEqual(['const a = 1\n', 'const a = 2\n'])
})

it('blocks of one name are one file', () => {
  const first = `<!-- snippet: both -->\n${block('const a = 1')}`
  const second = `Text.\n\n<!-- snippet: both run -->\n\n${block('console.log(a)')}`
  const [snippet, ...others] = snippetsOf('a.md', `${first}${second}`)
  expect(others).toEqual([])
  expect(snippet).toMatchObject({ name: 'both', isRun: true })
  expect(snippet && sourceOf(snippet)).toBe('const a = 1\nconsole.log(a)\n')
})

it('lines in the comment belong to the file', () => {
  const [snippet] = snippetsOf('a.md', `<!-- snippet: whole\nconst a = 1\n-->\n${block('console.log(a)')}`)
  expect(snippet && sourceOf(snippet)).toBe('const a = 1\nconsole.log(a)\n')
  expect(snippet?.isRun).toBe(false)
})

it('leads back to the lines of the document', () => {
  const [snippet] = snippetsOf(
    'a.md',
    `<!-- snippet: x\nhidden\n-->\n${block('one\ntwo')}Text\n<!-- snippet: x -->\n${block('three')}`,
  )
  expect(snippet && [1, 2, 3, 4].map((line) => documentLine(snippet, line))).toEqual([2, 5, 6, 11])
})

it('blocks of other languages are left alone', () => {
  expect(snippetsOf('a.md', '```sh\nls\n```\n```md\n<!-- snippet: x -->\n```\n')).toEqual([])
})

it('a comment that stands above no block is a mistake', () => {
  const lost = () => snippetsOf('a.md', `<!-- snippet: lost -->\nText\n${block('const a = 1')}`)
  expect(lost).toThrow("a.md:2: the snippet comment 'lost' stands above no ts block")
})

it('finds the quickstart, which is run', () => {
  const quickstart = allSnippets().find(({ name }) => name === 'quickstart')
  expect(quickstart).toMatchObject({ document: 'README.md', isRun: true })
})
