import { type Awaitable, type InboxStore, OutboxError } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { type InboxHarness, withInboxContext } from '../src/index.ts'

/** Transactions that tell how they ended, and an inbox that has never seen a message. */
function harness(history: string[], once: InboxStore<object>['once'] = handling): InboxHarness<object> {
  const process = (name: string) => ({
    inbox: { once, check: async () => undefined, purge: async () => 0 },
    async transaction<T>(work: (tx: object) => Awaitable<T>) {
      try {
        const result = await work({})
        history.push(`${name} committed`)
        return result
      } catch (error) {
        history.push(`${name} rolled back`)
        throw error
      }
    },
  })
  return {
    capabilities: {
      concurrentTransactions: true,
      savepoints: { leftOut: 'none here' },
      waitsForWriters: { leftOut: 'conflicts are told' },
    },
    open: async () => ({
      ...process('own'),
      peer: async () => process('peer'),
      close: async () => {
        history.push('closed')
      },
    }),
  }
}

async function handling(
  _tx: object,
  _consumer: string,
  _id: string,
  handler: () => Awaitable<unknown>,
): Promise<boolean> {
  await handler()
  return true
}

describe('the context of an inbox check', () => {
  it('rolls back what a failed check left open in any process, closes, and tells of the failure', async () => {
    const history: string[] = []
    const failure = new Error('the check failed')
    const failed = withInboxContext(harness(history), async ({ begin, peer }) => {
      await begin()
      await (await peer()).begin()
      throw failure
    })
    await expect(failed).rejects.toBe(failure)
    expect(history.toSorted()).toEqual(['closed', 'own rolled back', 'peer rolled back'])
    expect(history.at(-1)).toBe('closed')
  })

  it('looks whether a message was handled without marking it', async () => {
    const history: string[] = []
    await withInboxContext(harness(history), async ({ isHandled }) => {
      expect(await isHandled('billing', 'm-1')).toBe(false)
    })
    expect(history).toEqual(['own rolled back', 'closed'])
  })

  it('delivers again when it is told busy, and no other error', async () => {
    const errors = [
      new OutboxError('busy', 'a conflict', { system: 'test' }),
      new OutboxError('unavailable', 'away', { system: 'test' }),
    ]
    const failing: InboxStore<object>['once'] = () =>
      Promise.reject(errors.shift() ?? new Error('it was called a third time'))
    await withInboxContext(harness([], failing), async ({ deliver }) => {
      await expect(deliver('billing', 'm-1')).rejects.toMatchObject({ code: 'unavailable' })
    })
    expect(errors).toEqual([])
  })
})
