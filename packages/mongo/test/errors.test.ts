import { getServers, setServers } from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { OutboxError } from '@outbox/core'
import { MongoClient } from 'mongodb'
import { describe, expect, test } from 'vitest'
import { translated, translatedInTransaction } from '../src/errors.ts'

/** As the driver makes them. */
function serverError(code: number, labels: readonly string[] = []): Error {
  const hasErrorLabel = (label: string): boolean => labels.includes(label)
  return Object.assign(new Error(`said the server, ${code}`), { name: 'MongoServerError', code, hasErrorLabel })
}

describe('what an error of MongoDB means', () => {
  test.each([
    [24, 'busy'],
    [50, 'busy'],
    [112, 'busy'],
    [225, 'busy'],
    [239, 'busy'],
    [246, 'busy'],
    [251, 'busy'],
    [11000, 'busy'],
    [6, 'unavailable'],
    [64, 'unavailable'],
    [91, 'unavailable'],
    [189, 'unavailable'],
    [202, 'unavailable'],
    [211, 'unavailable'],
    [290, 'busy'],
    [10107, 'unavailable'],
    [11600, 'unavailable'],
    [13435, 'unavailable'],
    [13, 'setup-required'],
    [18, 'setup-required'],
    [79, 'setup-required'],
    [323, 'setup-required'],
    [8000, 'setup-required'],
  ])('%i is %s', (code, meaning) => {
    const cause = serverError(code)
    const error = translated(cause)
    expect(error).toMatchObject({ code: meaning, cause })
    expect(OutboxError.is(error) && error.isRetryable).toBe(meaning !== 'setup-required')
  })

  test.each([
    'MongoNetworkError',
    'MongoNetworkTimeoutError',
    'MongoServerSelectionError',
    'MongoPoolClearedError',
    'PoolClearedOnNetworkError',
    'MongoTopologyClosedError',
    'MongoClientClosedError',
  ])('%s, which never reached a server, is unavailable', (name) => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { name })
    expect(translated(cause)).toMatchObject({ code: 'unavailable', cause })
  })

  test('an error of the socket, which the driver passes on as it is, is unavailable', async () => {
    await using server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    // as: a TCP server's address is an object
    const { port } = server.address() as AddressInfo
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: false }).resume()
    await once(socket, 'end')
    socket.write('too late')
    const [cause] = await once(socket, 'error')
    expect(cause).toMatchObject({ message: 'This socket has been ended by the other party' })
    expect(translated(cause)).toMatchObject({ code: 'unavailable', cause })
  })

  test('a cluster that DNS does not know at the moment is unavailable', async () => {
    const servers = getServers()
    setServers(['127.0.0.1:1']) // nobody answers there
    const client = new MongoClient('mongodb+srv://cluster0.example.com')
    try {
      const cause: unknown = await client.connect().catch((error: unknown) => error)
      expect(cause).toMatchObject({ syscall: 'querySrv' })
      expect(translated(cause)).toMatchObject({ code: 'unavailable', cause })
    } finally {
      setServers(servers)
      await client.close()
    }
  })

  test('a label tells what an unknown code means', () => {
    expect(translated(serverError(4711, ['TransientTransactionError']))).toMatchObject({ code: 'busy' })
    expect(translated(serverError(4711, ['RetryableWriteError']))).toMatchObject({ code: 'unavailable' })
  })

  test('of a bulk write, what ended it counts: a lost connection, a write concern that was not reached', () => {
    const lost = Object.assign(new Error('connect ECONNREFUSED'), { name: 'MongoNetworkError' })
    const bulk = (ending: object): Error =>
      Object.assign(new Error('the same words'), { name: 'MongoBulkWriteError', ...ending })
    expect(translated(bulk({ errorResponse: lost }))).toMatchObject({ code: 'unavailable' })
    const ended = Object.assign(new Error('This socket has been ended by the other party'), { code: 'EPIPE' })
    expect(translated(bulk({ errorResponse: ended }))).toMatchObject({ code: 'unavailable' })
    expect(translated(bulk({ err: { code: 64 } }))).toMatchObject({ code: 'unavailable' })
    expect(translated(bulk({ code: 11000, errorResponse: { code: 11000 } }))).toMatchObject({ code: 'busy' })
  })

  test('a standalone is told as such, at the first transaction', () => {
    const cause = Object.assign(serverError(20), {
      message: 'Transaction numbers are only allowed on a replica set member or mongos',
    })
    const error = translated(cause)
    expect(error).toMatchObject({ code: 'setup-required' })
    expect(String(error)).toMatch(/standalone[\s\S]*rs\.initiate/)
  })

  test('what is not known stays as it is, and so do the outbox errors', () => {
    for (const error of [serverError(4711), new Error('mine'), 'text', undefined]) expect(translated(error)).toBe(error)
    const own = new OutboxError('rejected', 'no', { system: 'mongodb' })
    expect(translated(own)).toBe(own)
  })
})

describe('the same in a transaction', () => {
  test('what is retryable stands before the driver error, and keeps its labels', () => {
    const cause = serverError(112, ['TransientTransactionError', 'SomethingElse'])
    const error = translatedInTransaction(cause)
    if (!OutboxError.is(error, 'busy')) throw new Error('expected busy')
    expect(Object.getPrototypeOf(error)).toBe(cause)
    expect(error.details).toEqual({ system: 'mongodb' })
    expect(labelsOf(error)).toEqual([true, true, false])
  })

  test('a duplicate key, which has no label of its own, is to be run again', () => {
    expect(labelsOf(translatedInTransaction(serverError(11000)))).toEqual([true, false, false])
  })

  test('an outage is run again only if the driver says so', () => {
    expect(labelsOf(translatedInTransaction(serverError(91)))).toEqual([false, false, false])
    const lost = serverError(91, ['TransientTransactionError'])
    expect(labelsOf(translatedInTransaction(lost))).toEqual([true, false, false])
  })
})

function labelsOf(error: unknown): boolean[] {
  if (!(error instanceof Error) || !('hasErrorLabel' in error) || typeof error.hasErrorLabel !== 'function') {
    throw new Error('expected an error of the driver')
  }
  const { hasErrorLabel } = error
  return ['TransientTransactionError', 'SomethingElse', 'Nothing'].map((label) => hasErrorLabel(label) === true)
}
