import { expect, it } from 'vitest'
import { type Guarantee, inboxTopics, outboxTopics, publisherTopics, storeTopics } from '../src/index.ts'

interface ListedCheck {
  readonly id: string
  readonly promise: string
  readonly keeps?: Guarantee
  readonly needs?: readonly string[]
  readonly insteadOf?: string
}

interface ListedTopic {
  readonly name: string
  readonly keeps: Guarantee
  readonly checks: readonly ListedCheck[]
}

it('CHECKS.md lists every check (vitest -u writes it anew)', async () => {
  const text = [
    '# What is checked',
    'Written by a test from the checks themselves. Each links to the [promise](../../docs/guarantees.md) that it keeps. In brackets: the capability without which a check is left out, or in whose place it stands. A † marks the checks of an outbox with only the three methods of the trait, which `describeOutbox` runs.',
    ...listed('Stores', storeTopics),
    ...listed('Inboxes', inboxTopics),
    ...listed('Publishers', publisherTopics),
  ].join('\n\n')
  await expect(`${text}\n`).toMatchFileSnapshot('../CHECKS.md')
})

const ofTheTrait = new Set<ListedCheck>(outboxTopics.flatMap(({ checks }) => checks))

function listed(title: string, topics: readonly ListedTopic[]): readonly string[] {
  return [
    `## ${title}`,
    ...topics.flatMap(({ name, keeps, checks }) => [
      `### ${name}`,
      checks.map((check) => line(check, check.keeps ?? keeps)).join('\n'),
    ]),
  ]
}

function line(check: ListedCheck, keeps: Guarantee): string {
  const { id, promise, needs = [], insteadOf } = check
  const conditions = [...needs, ...(insteadOf === undefined ? [] : [`instead of ${insteadOf}`])]
  const mark = ofTheTrait.has(check) ? ' †' : ''
  const condition = conditions.length === 0 ? '' : ` (${conditions.join(', ')})`
  return `- \`${id}\`${mark}${condition}: ${promise}. [${keeps}](../../docs/guarantees.md#${keeps})`
}
