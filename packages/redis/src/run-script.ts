import { createHash } from 'node:crypto'
import { type Acknowledged, callAcknowledged } from './acknowledge.ts'
import type { ScriptCall } from './call.ts'
import { isReady, notConnected, type RedisClient } from './client.ts'
import { isReply } from './errors.ts'
import type { Interruption } from './interruption.ts'
import type { RedisSettings } from './options.ts'
import { publishScript } from './script.ts'

/** as many as ioredis follows for a single command */
const maxRedirections = 16
const digest = createHash('sha1').update(publishScript).digest('hex')

/**
 * Calls the script once, wherever its stream is now, by its digest where the server knows it.
 *
 * @param interruption - once it has happened, nothing more is sent
 * @throws the error of the last command that was sent; {OutboxError} `unavailable` once there is no connection
 */
export async function runScript(
  call: ScriptCall,
  settings: Pick<RedisSettings, 'client' | 'name' | 'acknowledge'>,
  interruption: Pick<Interruption, 'hasHappened'>,
): Promise<Acknowledged> {
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

function execute(
  { keys, args }: ScriptCall,
  command: 'eval' | 'evalsha',
  script: string,
  { client, acknowledge }: Pick<RedisSettings, 'client' | 'acknowledge'>,
): Promise<Acknowledged> {
  return callAcknowledged(client, [command, script, keys.length, ...keys, ...args], acknowledge)
}
