import { createHash } from 'node:crypto'
import { OutboxError, type PublishOutcome } from '@outbox/core'
import { type Acknowledged, callAcknowledged } from './acknowledge.ts'
import { missingMark, outcomesFrom, type ScriptCall } from './call.ts'
import { isReady, notConnected, type RedisClient } from './client.ts'
import { failureFromCommand, isReply, unanswered } from './errors.ts'
import type { Interruption } from './interruption.ts'
import type { RedisSettings } from './options.ts'
import { publishScript } from './script.ts'

/** as many as ioredis follows for a single command */
const maxRedirections = 16
const digest = createHash('sha1').update(publishScript).digest('hex')

/**
 * Calls the script once for `count` entries. Never rejects.
 *
 * Nothing goes into the client's queue of commands for later: without a connection the outcome is `unavailable`.
 *
 * @param interruption - once it happens, the answer is not waited for, and nothing more is sent
 * @returns one outcome per entry; a failure of the call as a whole is everybody's
 */
export async function send(
  call: ScriptCall,
  count: number,
  settings: RedisSettings,
  interruption: Interruption,
): Promise<readonly PublishOutcome[]> {
  const { client, name } = settings
  const all = (outcome: PublishOutcome): readonly PublishOutcome[] => new Array<PublishOutcome>(count).fill(outcome)
  if (!isReady(client)) return all({ status: 'unavailable', error: notConnected(client, name) })
  try {
    const answer = await Promise.race([run(call, settings, interruption), interruption.promise])
    return typeof answer === 'string' ? all(unanswered(answer, name)) : outcomesWith(answer, count, name)
  } catch (error) {
    return all(
      OutboxError.is(error, 'unavailable') ? { status: 'unavailable', error } : failureFromCommand(error, name),
    )
  }
}

/** Entries that are in the stream count as published only once the acknowledgement is there, too. */
function outcomesWith({ reply, shortfall }: Acknowledged, count: number, name: string): readonly PublishOutcome[] {
  const outcomes = outcomesFrom(reply, count, name)
  if (shortfall === undefined) return outcomes
  return outcomes.map((outcome) => (outcome.status === 'published' ? unanswered(shortfall, name) : outcome))
}

async function run(call: ScriptCall, settings: RedisSettings, interruption: Interruption): Promise<Acknowledged> {
  const { client } = settings
  let isKnown = true
  for (let redirections = 0; ; redirections++) {
    try {
      return await (isKnown
        ? execute(call, 'evalsha', digest, settings)
        : execute(call, 'eval', publishScript, settings))
    } catch (error) {
      const isUnknownScript = isKnown && isReply(error) && error.message.startsWith('NOSCRIPT')
      const hasMoved = client.isCluster && isReply(error) && error.message.startsWith('MOVED')
      if (!isUnknownScript && !(hasMoved && redirections < maxRedirections)) throw error
      // in both cases nothing happened
      if (hasMoved && !interruption.hasHappened) await learnSlot(call, client)
      if (interruption.hasHappened) throw error
      if (!isReady(client)) throw notConnected(client, settings.name)
      // EVAL makes the script known to a server that does not know it
      if (isUnknownScript) isKnown = false
    }
  }
}

/**
 * A pipeline follows no redirection, and a client of a cluster learns nothing from it; from one command it does.
 *
 * Until a node has heard of a move it may tell the client where the slot was, so this can be needed more than once.
 */
async function learnSlot({ keys }: ScriptCall, client: RedisClient): Promise<void> {
  await client.call('exists', keys.slice(0, 1))
}

async function execute(
  { keys, args }: ScriptCall,
  command: 'eval' | 'evalsha',
  script: string,
  { client, acknowledge }: RedisSettings,
): Promise<Acknowledged> {
  const { reply, shortfall } = await callAcknowledged(
    client,
    [command, script, keys.length, ...keys, ...args],
    acknowledge,
  )
  return { reply, shortfall: acknowledge === undefined ? undefined : (missingMark(reply) ?? shortfall) }
}
