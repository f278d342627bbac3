import type { InboxStore } from '@outbox/core'
import { expect } from 'vitest'
import type { OwnServer } from './own-server.ts'
import { waitFor } from './wait-for.ts'

/**
 * Expects that a message whose effect went down with the server is handled again when the server is back, and then no
 * more.
 *
 * @param transaction - runs work in one transaction on the server, and no second one
 */
export async function expectHandledAgain<Tx>(
  server: OwnServer,
  inbox: Pick<InboxStore<Tx>, 'once' | 'purge'>,
  transaction: (work: (tx: Tx) => Promise<boolean>) => Promise<boolean>,
): Promise<void> {
  let handled = 0
  const deliver = (meanwhile: () => unknown = () => undefined): Promise<boolean> =>
    transaction(async (tx) =>
      inbox.once(tx, 'billing', 'm-1', async () => {
        handled += 1
        await meanwhile()
      }),
    )
  await expect(deliver(() => server.kill())).rejects.toBeDefined()
  await expect(inbox.purge({ olderThanMs: 0, limit: 1 })).rejects.toMatchObject({ code: 'unavailable' })
  await server.restart()
  // a pool may still hold a connection that broke
  const again = () =>
    deliver().then(
      (isFirst) => [isFirst],
      () => undefined,
    )
  const answer = await waitFor(again, { what: 'the server to answer', timeoutMs: 120_000 })
  expect([answer, await deliver(), handled]).toEqual([[true], false, 2])
}
