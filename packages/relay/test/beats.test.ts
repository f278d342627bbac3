import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { Beats } from '../src/beats.ts'
import { Emitter } from '../src/events.ts'
import { settingsFrom } from '../src/options.ts'
import { ManualClock } from './manual-clock.ts'

const other = { holder: 'other', beat: 7 }

/** Beats with a lease that is kept for 9,000 ms after a poll. */
function world() {
  const clock = new ManualClock()
  const settings = settingsFrom({ store: memoryOutbox(), publisher: recordingPublisher(), clock })
  const never = new AbortController().signal
  const beats = new Beats({ settings, events: new Emitter({}, clock), abort: never, over: never })
  const look = (): void => {
    beats.hear()
    beats.see([other], 'self')
  }
  beats.ask()
  look()
  return { clock, beats, look }
}

describe('a beat that stands still', () => {
  test('is a dead relay’s after as long as a lease is kept, however slow the answers', async () => {
    const { clock, beats, look } = world()
    for (const silent of [[], [other]]) {
      await clock.advance(4_900)
      beats.ask()
      look()
      expect(beats.silent).toEqual(silent)
    }
  })

  test('has its time anew after an outage, were it a join that failed', async () => {
    const { clock, beats, look } = world()
    await clock.advance(4_900)
    beats.ask() // no answer
    await clock.advance(100)
    beats.ask()
    look()
    await clock.advance(4_400)
    beats.ask()
    look()
    expect(beats.silent).toEqual([])
    expect(beats.nextDeathInMs).toBe(4_600)
  })
})
