import type { Awaitable, OutboxStore } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { type OpenedStore, withStoreContext } from '../src/index.ts'

/** Transactions that do nothing but tell how they ended. */
function openedStore(history: string[]): OpenedStore<object> {
  const none = {} as OutboxStore<object> // these tests do not touch the store
  return {
    store: none,
    async transaction<T>(work: (tx: object) => Awaitable<T>) {
      try {
        const result = await work({})
        history.push('committed')
        return result
      } catch (error) {
        history.push('rolled back')
        throw error
      }
    },
    savepoint: (tx, work) => work(tx),
    peer: async () => none,
    close: async () => {
      history.push('closed')
    },
  }
}

describe('the context of a check', () => {
  it('is closed when the check has passed', async () => {
    const history: string[] = []
    await withStoreContext(
      async () => openedStore(history),
      async () => {
        history.push('checked')
      },
    )
    expect(history).toEqual(['checked', 'closed'])
  })

  it('rolls back what a failed check left open, closes, and tells of the failure', async () => {
    const history: string[] = []
    const failure = new Error('the check failed')
    const failed = withStoreContext(
      async () => openedStore(history),
      async ({ begin }) => {
        await begin()
        throw failure
      },
    )
    await expect(failed).rejects.toBe(failure)
    expect(history).toEqual(['rolled back', 'closed'])
  })

  it('commits and rolls back held transactions when told to, once', async () => {
    const history: string[] = []
    await withStoreContext(
      async () => openedStore(history),
      async ({ begin }) => {
        await (await begin()).commit()
        await (await begin()).rollback()
      },
    )
    expect(history).toEqual(['committed', 'rolled back', 'closed'])
  })

  it('notices a transaction that swallows what its callback threw', async () => {
    const opened = openedStore([])
    const swallowing: OpenedStore<object> = {
      ...opened,
      transaction: <T>(work: (tx: object) => Awaitable<T>) => opened.transaction(work).catch(() => undefined as T),
    }
    const failed = withStoreContext(
      async () => swallowing,
      async ({ rollBack }) => rollBack(() => undefined),
    )
    await expect(failed).rejects.toThrow(/instead of rejecting/)
  })
})
