import { expect, it } from 'vitest'
import { mongoInbox, mongoOutbox, setup, setupInbox } from '../src/index.ts'

const [client, db] = [{}, {}] // no server is asked: an option that is not known is told before anything else

/** A misspelt place would be the place by default: another outbox's documents would be read, purged and discarded. */
it.each<[string, (...given: never[]) => unknown, given: readonly unknown[]]>([
  ['mongoOutbox', mongoOutbox, [{ client, db, prefx: 'other_' }]],
  ['mongoInbox', mongoInbox, [{ client, db, prefx: 'other_' }]],
  ['setup', setup, [db, { prefx: 'other_' }]],
  ['setupInbox', setupInbox, [db, { prefx: 'other_' }]],
])('%s refuses a misspelt prefix, with what there is', async (name, factory, given) => {
  const call = async () => Reflect.apply(factory, undefined, given)
  await expect(call()).rejects.toMatchObject({
    code: 'invalid-option',
    details: { option: 'prefx' },
    message: expect.stringMatching(new RegExp(`^${name}: prefx is unknown; there are: .*prefix`)),
  })
})

it.each([mongoOutbox, mongoInbox])('%o asks for a client', (factory) => {
  expect(() => Reflect.apply(factory, undefined, [])).toThrow(
    expect.objectContaining({ code: 'invalid-option', details: { option: 'client' } }),
  )
})

it.each([
  [setup, undefined],
  [setup, { startSession: () => undefined }],
  [setupInbox, null],
])('%o asks for a database, given %o', async (make, given) => {
  await expect(Reflect.apply(make, undefined, [given])).rejects.toMatchObject({
    code: 'invalid-option',
    details: { option: 'db' },
  })
})
