import type { PublishOutcome } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { type OpenedPublisher, withPublisherContext } from '../src/index.ts'

/** A publisher that answers what it is told to. */
function answering(outcomes: readonly PublishOutcome[]): OpenedPublisher {
  const publisher = { name: 'answering', capabilities: { keepsOrderInBatch: true }, publish: async () => outcomes }
  return { publisher, received: async () => [], peer: async () => publisher, close: async () => undefined }
}

const published: PublishOutcome = { status: 'published' }
const notSent: PublishOutcome = { status: 'notSent' }
const unknown: PublishOutcome = { status: 'unknown', error: new Error('no answer') }
const retry: PublishOutcome = { status: 'retry', error: new Error('refused') }

async function publish(...outcomes: readonly PublishOutcome[]): Promise<void> {
  await withPublisherContext(
    async () => answering(outcomes),
    async (context) => {
      await context.publish(outcomes.map((_, index) => context.entry('a', index + 1)))
    },
  )
}

describe('the outcomes of one aggregate', () => {
  it.each([
    ['a failure, and the rest not sent', [published, retry, notSent, notSent]],
    ['no answer, and the rest not sent', [published, unknown, notSent]],
    ['no answer to several that were sent together', [published, unknown, unknown, notSent]],
  ])('may be: %s', async (_, outcomes) => {
    await publish(...outcomes)
  })

  it.each([
    ['going on behind a failure', [retry, published]],
    ['going on behind no answer', [unknown, published]],
    ['no answer behind a refusal', [retry, unknown]],
    ['sent after something that was not', [unknown, notSent, unknown]],
  ])('may not be: %s', async (_, outcomes) => {
    await expect(publish(...outcomes)).rejects.toThrow(/follows/)
  })

  it('are as many as the entries', async () => {
    const tooFew = withPublisherContext(
      async () => answering([published]),
      async (context) => {
        await context.publish([context.entry('a', 1), context.entry('b', 1)])
      },
    )
    await expect(tooFew).rejects.toThrow(/one outcome per entry/)
  })
})
