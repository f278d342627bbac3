import { expect, it } from 'vitest'
import { publisherTopics, storeTopics } from '../src/index.ts'

interface Listed {
  readonly name: string
  readonly checks: readonly { readonly id: string; readonly promise: string; readonly needs?: readonly string[] }[]
}

it('CHECKS.md lists every check (vitest -u writes it anew)', async () => {
  const text = [
    '# What is checked',
    'Written by a test from the checks themselves. In brackets: the capability without which a check is left out.',
    ...listed('Stores', storeTopics),
    ...listed('Publishers', publisherTopics),
  ].join('\n\n')
  await expect(`${text}\n`).toMatchFileSnapshot('../CHECKS.md')
})

function listed(title: string, topics: readonly Listed[]): readonly string[] {
  return [`## ${title}`, ...topics.flatMap(({ name, checks }) => [`### ${name}`, checks.map(line).join('\n')])]
}

function line({ id, promise, needs = [] }: Listed['checks'][number]): string {
  const condition = needs.length === 0 ? '' : ` (${needs.join(', ')})`
  return `- \`${id}\`${condition}: ${promise}.`
}
