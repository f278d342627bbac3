import { waitFor } from '@outbox/services'
import { expect, test } from 'vitest'
import { day, purgeUntil } from '../src/purge.ts'

test('a store is purged by the age that it is given, as long as there is more', async () => {
  const stop = new AbortController()
  const asked: unknown[] = []
  const inbox = {
    purge: async (options: object) => {
      asked.push(options)
      return asked.length < 3 ? 1_000 : 7
    },
  }
  const purging = purgeUntil(stop.signal, inbox, 60 * day)
  await waitFor(() => asked.length === 3, { what: 'three purges' })
  stop.abort()
  await purging
  const once = { olderThanMs: 60 * 24 * 3_600_000, limit: 1_000, signal: stop.signal }
  expect(asked).toEqual([once, once, once])
})
