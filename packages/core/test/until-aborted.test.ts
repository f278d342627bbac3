import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { untilAborted } from '../src/adapter/index.ts'

const never = new Promise<never>(() => undefined)

test('untilAborted settles as the work does, and leaves no listener behind', async () => {
  const { signal } = new AbortController()
  expect(await untilAborted(Promise.resolve(1), signal)).toBe(1)
  expect(await untilAborted(Promise.resolve(1), undefined)).toBe(1)
  await expect(untilAborted(Promise.reject(new Error('broken')), signal)).rejects.toThrow('broken')
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('it rejects with the reason of a signal that aborts, or was aborted before', async () => {
  const controller = new AbortController()
  const waiting = untilAborted(never, controller.signal)
  controller.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await expect(untilAborted(never, controller.signal)).rejects.toThrow('enough')
})
