import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { type Guarantee, guarantees, inboxTopics, publisherTopics, storeTopics } from '../src/index.ts'

const page = await readFile(new URL('../../../docs/guarantees.md', import.meta.url), 'utf8')
const anchors = [...page.matchAll(/^## (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-'))

interface Keeping {
  readonly keeps: Guarantee
  readonly checks: readonly { readonly keeps?: Guarantee }[]
}

it('every promise that checks keep is a section of docs/guarantees.md', () => {
  for (const guarantee of guarantees) expect(anchors).toContain(guarantee)
})

it('every section that promises something has checks', () => {
  const aboutThePage = ['limits-of-the-promise', 'how-to-see-it']
  const topics: readonly Keeping[] = [...storeTopics, ...inboxTopics, ...publisherTopics]
  const kept = new Set(topics.flatMap(({ keeps, checks }) => checks.map((check) => check.keeps ?? keeps)))
  expect([...kept].toSorted()).toEqual(anchors.filter((anchor) => !aboutThePage.includes(anchor)).toSorted())
})
