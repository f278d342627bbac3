import { Turns } from '@outbox/core/adapter'
import { expect, test } from 'vitest'
import type { MemoryTransaction } from '../src/index.ts'
import { inboxChecks, runInboxCheck } from './sabotage/run-check.ts'

test('an inbox may take the calls of one transaction one after the other, each with its handler', async () => {
  const turns = new Turns<MemoryTransaction>()
  const check = inboxChecks.find(({ id }) => id === 'asynchronous-handlers.at-once')
  if (!check) throw new Error('There is no such check')
  const fault = await runInboxCheck(check, (inbox) => ({
    once: (tx, ...delivery) => turns.take(tx, () => inbox.once(tx, ...delivery)),
  }))
  expect(fault).toBeUndefined()
})
