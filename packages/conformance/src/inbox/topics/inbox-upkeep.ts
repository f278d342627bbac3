import { setTimeout } from 'node:timers/promises'
import { expect } from 'vitest'
import { failure } from '../../failures.ts'
import { purgesNotMeant } from '../../purges-not-meant.ts'
import type { InboxTopic } from '../context.ts'

const hourMs = 3600 * 1000

/** The check at start, and forgetting what was handled long ago. */
export const inboxUpkeep: InboxTopic = {
  name: 'inbox upkeep',
  keeps: 'inbox',
  checks: [
    {
      id: 'inbox-upkeep.set-up',
      promise: 'check() passes on an inbox that is set up, in every process',
      keeps: 'set-up',
      async run({ inbox, peer }) {
        await inbox.check()
        await (await peer()).inbox.check()
      },
    },
    {
      id: 'inbox-upkeep.purge-by-age',
      promise: 'purge spares what was handled less than the given time ago, which may be a fraction, or endless',
      async run({ inbox, deliver, isHandled }) {
        for (const id of ['m-1', 'm-2', 'm-3']) await deliver('billing', id)
        for (const olderThanMs of [hourMs, hourMs + 0.25, Infinity]) {
          expect(await inbox.purge({ olderThanMs, limit: 100 })).toBe(0)
        }
        expect(await isHandled('billing', 'm-1')).toBe(true)
        expect(await inbox.purge({ olderThanMs: 0, limit: 100 })).toBe(3)
        expect(await inbox.purge({ olderThanMs: 0, limit: 100 })).toBe(0)
      },
    },
    {
      id: 'inbox-upkeep.purge-refused',
      promise:
        'purge refuses an age or a limit that is missing, no number, or below what it can be, and forgets nothing',
      async run({ inbox, deliver, isHandled }) {
        await deliver('billing', 'm-1')
        for (const request of purgesNotMeant) {
          await failure('invalid-option', Reflect.apply(inbox.purge, inbox, [request]))
        }
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'inbox-upkeep.purged-runs-again',
      promise: 'a message that was forgotten is handled again if it comes again, once',
      async run({ inbox, deliver }) {
        await deliver('billing', 'm-1')
        expect(await inbox.purge({ olderThanMs: 0, limit: 1 })).toBe(1)
        expect(await deliver('billing', 'm-1')).toBe(true)
        expect(await deliver('billing', 'm-1')).toBe(false)
      },
    },
    {
      id: 'inbox-upkeep.purge-in-portions',
      promise: 'purge forgets at most its limit, which may be endless, and fewer only when none is left',
      async run({ inbox, deliver }) {
        for (let n = 0; n < 25; n++) await deliver(`consumer-${n % 3}`, `m-${n}`)
        const counts: number[] = []
        for (let n = 0; n < 4; n++) counts.push(await inbox.purge({ olderThanMs: 0, limit: 10 }))
        expect(counts).toEqual([10, 10, 5, 0])
        for (let n = 0; n < 25; n++) await deliver('billing', `m-${n}`)
        expect(await inbox.purge({ olderThanMs: 0, limit: Infinity })).toBe(25)
      },
    },
    {
      id: 'inbox-upkeep.purge-oldest-first',
      promise: 'purge forgets what was handled longest ago first',
      async run({ inbox, deliver, isHandled }) {
        const ids = ['m-3', 'm-1', 'm-2']
        for (const id of ids) {
          await deliver('billing', id)
          await setTimeout(5) // so that the next is younger, on a clock of whole milliseconds too
        }
        for (const [index, id] of ids.entries()) {
          expect(await inbox.purge({ olderThanMs: 0, limit: 1 })).toBe(1)
          expect(await isHandled('billing', id), id).toBe(false)
          for (const younger of ids.slice(index + 1)) expect(await isHandled('billing', younger), younger).toBe(true)
        }
      },
    },
    {
      id: 'inbox-upkeep.purge-under-load',
      promise: 'purge and deliveries do not wait for each other, and a delivery under way is not forgotten',
      needs: ['concurrentTransactions'],
      async run({ inbox, deliver, begin }) {
        for (const id of ['m-1', 'm-2', 'm-3']) await deliver('billing', id)
        const tx = await begin()
        expect(await tx.once('billing', 'm-4')).toBe(true)
        expect(await inbox.purge({ olderThanMs: 0, limit: 10 })).toBe(3) // would hang here
        expect(await tx.once('billing', 'm-5')).toBe(true)
        await tx.commit()
        expect(await deliver('billing', 'm-4')).toBe(false)
        expect(await deliver('billing', 'm-5')).toBe(false)
        expect(await deliver('billing', 'm-1')).toBe(true)
      },
    },
    {
      id: 'inbox-upkeep.cancellation',
      promise: "a call with an aborted signal rejects with the signal's reason and changes nothing",
      keeps: 'cancellation',
      async run({ inbox, deliver, isHandled }) {
        await deliver('billing', 'm-1')
        const reason = new Error('no longer wanted')
        const signal = AbortSignal.abort(reason)
        await expect(inbox.check({ signal })).rejects.toBe(reason)
        await expect(inbox.purge({ olderThanMs: 0, limit: 10, signal })).rejects.toBe(reason)
        expect(await isHandled('billing', 'm-1')).toBe(true)
      },
    },
  ],
}
