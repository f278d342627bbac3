import { createHash } from 'node:crypto'
import { type Acknowledged, AcknowledgedScripts } from './acknowledge.ts'
import type { ScriptCall } from './call.ts'
import { isReady, notConnected, type RedisArgument, type RedisClient } from './client.ts'
import { isReply } from './errors.ts'
import type { Interruption } from './interruption.ts'
import type { RedisSettings } from './options.ts'
import { publishScript } from './script.ts'

/** as many as ioredis follows for a single command */
const maxRedirections = 16
const digest = createHash('sha1').update(publishScript).digest('hex')

type ScriptSettings = Pick<RedisSettings, 'client' | 'name' | 'acknowledge'>

/**
 * Calls the script once, wherever its stream is now, by its digest where the server knows it.
 *
 * @param interruption - once it has happened, nothing more is sent
 * @throws the error of the last command that was sent; {OutboxError} `unavailable` once there is no connection
 */
export type RunScript = (call: ScriptCall, interruption: Interruption) => Promise<Acknowledged>

export function scriptRunner(settings: ScriptSettings): RunScript {
  const { client, name } = settings
  const execute = executor(settings)
  return async (call, interruption) => {
    let isKnown = true
    for (let redirections = 0; ; redirections++) {
      try {
        return await (isKnown
          ? execute('evalsha', digest, call, interruption)
          : execute('eval', publishScript, call, interruption))
      } catch (error) {
        const isUnknownScript = isKnown && isReply(error) && error.message.startsWith('NOSCRIPT')
        const hasMoved = client.isCluster && isReply(error) && error.message.startsWith('MOVED')
        if (!isUnknownScript && !(hasMoved && redirections < maxRedirections)) throw error
        // in both cases nothing happened
        if (hasMoved && !interruption.hasHappened) await learnSlot(call, client)
        if (interruption.hasHappened) throw error
        if (!isReady(client)) throw notConnected(client, name)
        // EVAL makes the script known to a server that does not know it
        if (isUnknownScript) isKnown = false
      }
    }
  }
}

type Execute = (
  command: 'eval' | 'evalsha',
  script: string,
  call: ScriptCall,
  interruption: Interruption,
) => Promise<Acknowledged>

function executor({ client, name, acknowledge }: ScriptSettings): Execute {
  const argsOf = (script: string, { keys, args }: ScriptCall): RedisArgument[] => [
    script,
    keys.length,
    ...keys,
    ...args,
  ]
  if (acknowledge === undefined) {
    return async (command, script, call) => ({
      reply: await client.call(command, argsOf(script, call)),
      shortfall: undefined,
    })
  }
  const acknowledged = new AcknowledgedScripts({ client, name }, acknowledge)
  return (command, script, call, interruption) =>
    acknowledged.call([command, ...argsOf(script, call)], call.keys[0] ?? '', interruption)
}

/**
 * A pipeline follows no redirection, and a client of a cluster learns nothing from it; from one command it does.
 *
 * It must not be one that only reads: with `scaleReads` that goes to replicas, which hear of a move later. Until a node has
 * heard of it, it may tell the client where the slot was, so this can be needed more than once.
 */
async function learnSlot({ keys }: ScriptCall, client: RedisClient): Promise<void> {
  await client.call('eval', ['return 1', 1, ...keys.slice(0, 1)])
}
