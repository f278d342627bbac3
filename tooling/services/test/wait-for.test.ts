import { expect, it } from 'vitest'
import { waitFor } from '../src/wait-for.ts'

it('returns the first answer that is there', async () => {
  let asked = 0
  const look = () => (++asked < 3 ? undefined : asked)
  expect(await waitFor(look, { what: 'the third look', intervalMs: 1 })).toBe(3)
})

it('takes 0 and the empty string for answers', async () => {
  expect(await waitFor(() => 0, { what: 'zero' })).toBe(0)
  expect(await waitFor(() => '', { what: 'nothing said' })).toBe('')
})

it('says what it waited for, and the last answer', async () => {
  const never = waitFor(() => false, { what: 'the moon', timeoutMs: 5, intervalMs: 1 })
  await expect(never).rejects.toThrow('waited 5 ms for the moon; the last answer was false')
})

it('ends at once when the condition throws', async () => {
  let asked = 0
  const broken = waitFor(
    () => {
      asked += 1
      throw new Error('broken')
    },
    { what: 'anything' },
  )
  await expect(broken).rejects.toThrow('broken')
  expect(asked).toBe(1)
})
