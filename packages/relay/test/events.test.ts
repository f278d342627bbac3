import { recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { Emitter } from '../src/events.ts'
import { settled } from './manual-clock.ts'
import { World } from './world.ts'

const broken = new Error('a bug in a listener')
const warning = { message: 'look' }

describe('a listener', () => {
  test('that throws stops neither the others nor the relay, and is an error event', async () => {
    const world = new World()
    const heard: number[] = []
    const { relay, journal } = world.relay(recordingPublisher())
    relay.on('published', () => {
      throw broken
    })
    relay.on('published', ({ entries }) => void heard.push(entries.length))
    await world.enqueue('a', 'b')
    await relay.start()
    await world.clock.advanceUntil(() => world.store.isEmpty)
    expect(heard.reduce((sum, count) => sum + count, 0)).toBe(2)
    expect(journal.of('error')[0]).toEqual({ error: broken, during: "a listener of 'published'" })
    await relay.stop()
  })

  test('that rejects is an error event too', async () => {
    const told: unknown[] = []
    const emitter = new Emitter({ error: ({ error }) => void told.push(error) })
    emitter.on('warning', () => Promise.reject(broken))
    emitter.emit('warning', warning)
    await settled()
    expect(told).toEqual([broken])
  })

  test('hears nothing any more once it is disposed of, and others go on', () => {
    const heard: string[] = []
    const emitter = new Emitter({ warning: () => void heard.push('first') })
    const second = emitter.on('warning', () => void heard.push('second'))
    emitter.emit('warning', warning)
    second[Symbol.dispose]()
    emitter.emit('warning', warning)
    expect(heard).toEqual(['first', 'second', 'first'])
  })

  test('that listens twice is called until each of its subscriptions is disposed of', () => {
    let calls = 0
    const emitter = new Emitter()
    const count = (): void => void calls++
    const first = emitter.on('warning', count)
    const second = emitter.on('warning', count)
    first[Symbol.dispose]()
    emitter.emit('warning', warning)
    expect(calls).toBe(1)
    second[Symbol.dispose]()
    emitter.emit('warning', warning)
    expect(calls).toBe(1)
  })

  test('that throws what is no error, and no text either, ends nothing: it is a process warning', async () => {
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    const emitter = new Emitter()
    emitter.on('warning', () => {
      throw Object.create(null)
    })
    emitter.emit('warning', warning)
    expect((await warned).message).toBe('an unprintable error')
  })

  test('may dispose of itself while it is called', () => {
    const heard: string[] = []
    const emitter = new Emitter()
    const once = emitter.on('warning', () => {
      heard.push('once')
      once[Symbol.dispose]()
    })
    emitter.on('warning', () => void heard.push('always'))
    emitter.emit('warning', warning)
    emitter.emit('warning', warning)
    expect(heard).toEqual(['once', 'always', 'always'])
  })
})

describe('an error', () => {
  test('without a listener becomes a process warning', async () => {
    const warned = nextWarning()
    new Emitter().emit('error', { error: broken, during: 'a test' })
    expect(await warned).toBe(broken)
  })

  test('whose listener throws becomes a process warning', async () => {
    const fault = new Error('the error listener is broken too')
    const warned = nextWarning()
    const emitter = new Emitter({
      error: () => {
        throw fault
      },
    })
    emitter.emit('error', { error: broken, during: 'a test' })
    expect(await warned).toBe(fault)
  })

  test('whose listener rejects becomes a process warning', async () => {
    const fault = new Error('the error listener rejects')
    const warned = nextWarning()
    const emitter = new Emitter({ error: () => Promise.reject(fault) })
    emitter.emit('error', { error: broken, during: 'a test' })
    expect(await warned).toBe(fault)
  })
})

test('an event that nobody listens for is nothing', () => {
  expect(() => new Emitter().emit('warning', warning)).not.toThrow()
})

function nextWarning(): Promise<Error> {
  return new Promise((resolve) => process.once('warning', resolve))
}
