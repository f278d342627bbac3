import { describe, expect, it } from 'vitest'
import { inTurn } from '../src/in-turn.ts'

describe('inTurn', () => {
  it('is done when it returns, as long as every step is synchronous', () => {
    const history: number[] = []
    const result = inTurn(
      () => history.push(1),
      () => history.push(2),
      () => 'last',
    )
    expect(result).toBe('last')
    expect(history).toEqual([1, 2])
  })

  it('waits for a step that returns a promise before it begins the next', async () => {
    const history: string[] = []
    const slow = async (): Promise<void> => {
      history.push('begun')
      await Promise.resolve()
      history.push('ended')
    }
    const result = inTurn(slow, slow, () => history.length)
    expect(result).toBeInstanceOf(Promise)
    expect(await result).toBe(4)
    expect(history).toEqual(['begun', 'ended', 'begun', 'ended'])
  })

  it('throws what a synchronous step throws, and runs no further', () => {
    const history: string[] = []
    const broken = new Error('broken')
    const attempt = () =>
      inTurn(
        () => {
          throw broken
        },
        () => history.push('never'),
      )
    expect(attempt).toThrow(broken)
    expect(history).toEqual([])
  })

  it('rejects with what an asynchronous step rejects with, and runs no further', async () => {
    const history: string[] = []
    const broken = new Error('broken')
    const attempt = inTurn(
      () => Promise.reject(broken),
      () => history.push('never'),
    )
    await expect(attempt).rejects.toBe(broken)
    expect(history).toEqual([])
  })
})
