import { describe, expect, it } from 'vitest'
import { inboxTopics, outboxTopics, publisherTopics, storeTopics } from '../src/index.ts'

for (const [suite, topics] of [
  ['outbox', outboxTopics],
  ['store', storeTopics],
  ['inbox', inboxTopics],
  ['publisher', publisherTopics],
] as const) {
  describe(`the ${suite} suite`, () => {
    const checks = topics.flatMap((topic) =>
      topic.checks.map(({ id, promise }) => ({ id, promise, topic: topic.name })),
    )

    it('gives every check an id of its own', () => {
      expect(new Set(checks.map(({ id }) => id)).size).toBe(checks.length)
    })

    it('begins each id with its topic, so that a failure says where to look', () => {
      for (const { id, topic } of checks) expect(id).toMatch(new RegExp(`^${topic.replaceAll(' ', '-')}\\.[a-z0-9-]+$`))
    })

    it('says of every check what holds if it passes, in words', () => {
      for (const { id, promise } of checks) expect(promise.split(' ').length, id).toBeGreaterThan(4)
      expect(new Set(checks.map(({ promise }) => promise)).size).toBe(checks.length)
    })
  })
}

it('a store passes all that an outbox with only the trait must pass', () => {
  const ofStores = new Set<unknown>(storeTopics.flatMap(({ checks }) => checks))
  for (const check of outboxTopics.flatMap(({ checks }) => checks)) expect(ofStores.has(check), check.id).toBe(true)
})
