import { expect } from 'vitest'
import type { Pair } from '../pair.ts'
import type { Side } from '../side.ts'
import { ownStep, type Step } from '../step.ts'
import { far } from './far.ts'
import { settlingNothing } from './settling.ts'

/** @param handsDown - what is lent is given back first, so that nothing but open transactions can hold a purge up */
export function purging(handsDown: boolean): Step {
  return ownStep('purge', [handsDown], async (pair) => {
    if (handsDown) await settlingNothing.run({}, pair)
    const gone = await purge(pair.model)
    const forgotten = await forget(pair)
    if (pair.can.purgesSingly === true) expect(await purge(pair.real), 'purge answers as the model does').toBe(gone)
    else await compareByLeaf(pair, gone, handsDown)
    noteSpared(pair, forgotten)
  })
}

async function purge({ store }: Side): Promise<number> {
  return store.purge({ olderThanMs: 0, limit: far })
}

/**
 * A log goes leaf by leaf. A leaf stays while something in it is lent, or a transaction that has enqueued is open. With
 * nothing of that kind, two purges delete all: the first may find that the leaf after the current one still is full.
 */
async function compareByLeaf({ real, memo: { spared, open } }: Pair, gone: number, handsDown: boolean): Promise<void> {
  const owed = spared.count + gone
  const count = await purge(real)
  const isFree = handsDown && open.length === 0
  if (isFree) expect(count + (await purge(real)), 'two purges delete all that has ended').toBe(owed)
  else expect(count, 'a purge deletes nothing but what has ended').toBeLessThanOrEqual(owed)
  spared.count = isFree ? 0 : owed - count
}

/** @returns the names of what the model knows no longer */
async function forget({ model, memo }: Pair): Promise<readonly string[]> {
  const pending = await model.store.fetchUnpublished(far)
  const dead = await model.store.deadLetters.list({ limit: far })
  const there = new Set([...pending, ...dead.map(({ entry }) => entry)].map(({ id }) => id))
  const gone = [...memo.written].filter(([id]) => !there.has(id))
  for (const [id] of gone) memo.written.delete(id)
  return gone.flatMap(([, names]) => names)
}

function noteSpared({ memo: { spared, open }, can }: Pair, forgotten: readonly string[]): void {
  const mayBeSeen = can.seesPurges !== true && open.length > 0
  if (spared.count === 0 && !mayBeSeen) spared.names.clear()
  else for (const name of forgotten) spared.names.add(name)
}
