import { OutboxError, type PublishOutcome } from '@outbox/core'
import { describe, expect, it } from 'vitest'
import { concernsOneStream, errorFromCommand, failureFromCommand, failureFromReply, withOutage } from '../src/errors.ts'

class ReplyError extends Error {
  override name = 'ReplyError'
}

describe('what an error means for an entry', () => {
  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", 'unavailable'],
    ["READONLY You can't write against a read only replica.", 'unavailable'],
    ['LOADING Redis is loading the dataset in memory', 'unavailable'],
    ['MISCONF Redis is configured to save RDB snapshots, but it is unable to persist to disk.', 'unavailable'],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'unavailable'],
    ['NOREPLICAS Not enough good replicas to write.', 'unavailable'],
    ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'unavailable'],
    ['CLUSTERDOWN Hash slot not served', 'unavailable'],
    ['MOVED 3999 127.0.0.1:6381', 'unavailable'],
    ['ASK 3999 127.0.0.1:6381', 'unavailable'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'unavailable'],
    ['NOAUTH Authentication required.', 'unavailable'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'unavailable'],
    ['ERR Protocol error: unauthenticated multibulk length', 'unavailable'],
    ['ERR Protocol error: unauthenticated bulk length', 'unavailable'],
    ['ERR max number of clients reached', 'unavailable'],
    ["NOPERM User app has no permissions to run the 'evalsha' command", 'unavailable'],
    ["NOPERM this user has no permissions to run the 'evalsha' command", 'unavailable'],
    ["ERR ACL failure in script: User app has no permissions to run the 'xadd' command", 'unavailable'],
    ["ERR The user executing the script can't run this command or subcommand", 'unavailable'],
    ['NOPERM No permissions to access a key', 'retry'],
    ['NOPERM this user has no permissions to access one of the keys used as arguments', 'retry'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'retry'],
    ["CROSSSLOT Keys in request don't hash to the same slot", 'retry'],
    ['ERR something that nobody has seen yet', 'retry'],
    ['ERR Elements are too large to be stored', 'reject'],
    ['ERR string exceeds maximum allowed size (proto-max-bulk-len)', 'reject'],
  ])('the reply %j is %s', (message, status) => {
    const failure = failureFromCommand(new ReplyError(message), 'redis:orders')
    expect(failure.status).toBe(status)
    expect(failure.error).toHaveProperty('message', expect.stringContaining(message))
    expect(failureFromReply(message, 'redis:orders')).toEqual(failure)
  })

  it.each([
    ["@user_script: 58: -READONLY You can't write against a read only replica.\r\n", 'unavailable', 'READONLY You'],
    ["@user_script: 58: -OOM command not allowed when used memory > 'maxmemory'.\r\n", 'unavailable', 'OOM command'],
    [
      '@user_script: 58: -MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.\r\n',
      'unavailable',
      'MISCONF Redis',
    ],
    ["@user_script:58: -READONLY You can't write against a read only replica.", 'unavailable', 'READONLY You'],
    ["@user_script: 43: The user executing the script can't run this command or subcommand", 'unavailable', 'The user'],
    [
      "@user_script: 43: The user executing the script can't access at least one of the keys mentioned in the command arguments",
      'retry',
      'The user',
    ],
    ['@user_script: 43: something that nobody has seen yet', 'retry', 'something'],
  ])('what Redis 6.2 and others refuse within the script, %j, is %s', (message, status, beginning) => {
    const failure = failureFromReply(message, 'redis:orders')
    expect(failure.status).toBe(status)
    expect(failure.error).toHaveProperty('message', expect.stringMatching(`^Redis refused: ${beginning}[^\r\n]*$`))
    expect(failureFromCommand(new ReplyError(message), 'redis:orders')).toEqual(failure)
  })

  it.each([
    ['Connection is closed.'],
    ['Command timed out'],
    ['Reached the max retries per request limit (which is 20). Refer to "maxRetriesPerRequest" option for details.'],
    ['Command aborted due to connection close'],
    ['read ECONNRESET'],
    ['Too many Cluster redirections. Last error: ReplyError: CLUSTERDOWN Hash slot not served'],
    ["Socket timeout. Expecting data, but didn't receive any in 100ms."],
  ])('%j says nothing about what became of the command: unknown', (message) => {
    expect(failureFromCommand(new Error(message), 'redis:orders').status).toBe('unknown')
  })

  it.each([
    ["Stream isn't writeable and enableOfflineQueue options is false"],
    ["Cluster isn't ready and enableOfflineQueue options is false"],
    ['Connection in subscriber mode, only subscriber commands may be used'],
    ['All keys in the pipeline should belong to the same slots allocation group'],
  ])('%j says that nothing was sent: unavailable', (message) => {
    expect(failureFromCommand(new Error(message), 'redis:orders').status).toBe('unavailable')
  })

  it('no payload gets out with an error: ioredis hangs the whole command on its errors', () => {
    for (const status of ['OOM full', 'WRONGTYPE no', 'ERR too large to be stored']) {
      const error = Object.assign(new ReplyError(status), { command: { name: 'evalsha', args: ['SECRET'] } })
      const { error: reported } = failureFromCommand(error, 'redis:orders')
      expect(reported).toBeInstanceOf(Error)
      expect(reported).not.toHaveProperty('cause')
      expect(reported).not.toHaveProperty('command')
    }
  })

  it.each([
    ['NOPERM No permissions to access a key', true],
    ['NOPERM this user has no permissions to access one of the keys used as arguments', true],
    ["ERR The user executing the script can't access at least one of the keys mentioned in the command", true],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', true],
    ["NOPERM User app has no permissions to run the 'evalsha' command", false],
    ["ERR The user executing the script can't run this command or subcommand", false],
    ['OOM command not allowed', false],
  ])('that %j is about one stream: %s', (message, isAboutOne) => {
    expect(concernsOneStream(new ReplyError(message))).toBe(isAboutOne)
    expect(concernsOneStream(new Error(message))).toBe(false)
  })

  it('a refusal of a stream is an outage where it is the only one, or none took anything', () => {
    const refused = failureFromReply('WRONGTYPE no', 'redis')
    const odd: PublishOutcome = { status: 'retry', error: new Error('odd') }
    const published: PublishOutcome = { status: 'published' }
    const outage = { status: 'unavailable', error: refused.error }
    expect(withOutage([refused, odd], { isOnlyStream: false })).toEqual([outage, odd])
    expect(withOutage([refused, published], { isOnlyStream: false })).toEqual([refused, published])
    expect(withOutage([refused, published], { isOnlyStream: true })).toEqual([outage, published])
  })

  it('what a person has to mend says so', () => {
    for (const message of ['NOPERM No permissions to access a key', 'WRONGTYPE no', 'ERR ACL failure in script: no']) {
      const { error } = failureFromReply(message, 'redis:orders')
      expect(OutboxError.is(error, 'setup-required')).toBe(true)
      expect(errorFromCommand(new ReplyError(message), 'redis:orders').code).toBe('setup-required')
    }
  })

  it('an unavailable failure is an outbox error that may be retried', () => {
    const { error } = failureFromReply('LOADING', 'redis:orders')
    expect(OutboxError.is(error, 'unavailable') && error.details.system).toBe('redis:orders')
  })
})
