import { type Awaitable, OutboxError, type OutboxStore } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { type OpenedStore, type StoreHarness, withStoreContext } from '../src/index.ts'

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

function harness(opened: OpenedStore<object>): StoreHarness<object> {
  return {
    capabilities: { concurrentTransactions: true, savepoints: true, waitsForWriters: true },
    open: async () => opened,
  }
}

describe('the context of a check', () => {
  it('is closed when the check has passed', async () => {
    const history: string[] = []
    await withStoreContext(harness(openedStore(history)), async () => {
      history.push('checked')
    })
    expect(history).toEqual(['checked', 'closed'])
  })

  it('rolls back what a failed check left open, closes, and tells of the failure', async () => {
    const history: string[] = []
    const failure = new Error('the check failed')
    const failed = withStoreContext(harness(openedStore(history)), async ({ begin }) => {
      await begin()
      throw failure
    })
    await expect(failed).rejects.toBe(failure)
    expect(history).toEqual(['rolled back', 'closed'])
  })

  it('commits and rolls back held transactions when told to, once', async () => {
    const history: string[] = []
    await withStoreContext(harness(openedStore(history)), async ({ begin }) => {
      await (await begin()).commit()
      await (await begin()).rollback()
    })
    expect(history).toEqual(['committed', 'rolled back', 'closed'])
  })

  it('notices a transaction that swallows what its callback threw', async () => {
    const opened = openedStore([])
    const swallowing: OpenedStore<object> = {
      ...opened,
      transaction: <T>(work: (tx: object) => Awaitable<T>) => opened.transaction(work).catch(() => undefined as T),
    }
    const failed = withStoreContext(harness(swallowing), async ({ rollBack }) => rollBack(() => undefined))
    await expect(failed).rejects.toThrow(/instead of rejecting/)
  })

  it('runs a commit again when it is told busy, where writers do not wait, and only there', async () => {
    const opened = openedStore([])
    let attempts = 0
    const busyOnce: OpenedStore<object> = {
      ...opened,
      transaction: async () => {
        attempts += 1
        if (attempts % 2 === 1) throw new OutboxError('busy', 'a conflict', { system: 'test' })
        return opened.transaction(() => [] as never)
      },
    }
    const waits = harness(busyOnce)
    const tells = { ...waits, capabilities: { ...waits.capabilities, waitsForWriters: { leftOut: 'tells conflicts' } } }
    await withStoreContext(tells, async ({ commit }) => {
      expect(await commit([])).toEqual([])
    })
    expect(attempts).toBe(2)
    await withStoreContext(waits, async ({ commit }) => {
      await expect(commit([])).rejects.toThrow('a conflict')
    })
  })

  it('says so when a harness declares savepoints and gives none', async () => {
    const { savepoint: _, ...none } = openedStore([])
    const failed = withStoreContext(harness(none), ({ transaction }) =>
      transaction((tx) => tx.savepoint(() => undefined)),
    )
    await expect(failed).rejects.toThrow(/gives no savepoint/)
  })
})
