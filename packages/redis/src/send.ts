import { createHash } from 'node:crypto'
import { OutboxError, type PublishOutcome } from '@outbox/core'
import { type WaitCommand, waitCommands } from './acknowledge.ts'
import { missingMark, outcomesFrom, type ScriptCall } from './call.ts'
import { isReady, notConnected } from './client.ts'
import { failureFromCommand, isReply, unanswered } from './errors.ts'
import type { Interruption } from './interruption.ts'
import type { RedisSettings } from './options.ts'
import { publishScript } from './script.ts'

const digest = createHash('sha1').update(publishScript).digest('hex')

interface Answer {
  readonly reply: unknown
  /** why what was written does not count yet; undefined when it does */
  readonly shortfall: string | undefined
}

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
function outcomesWith({ reply, shortfall }: Answer, count: number, name: string): readonly PublishOutcome[] {
  const outcomes = outcomesFrom(reply, count, name)
  if (shortfall === undefined) return outcomes
  return outcomes.map((outcome) => (outcome.status === 'published' ? unanswered(shortfall, name) : outcome))
}

async function run(call: ScriptCall, settings: RedisSettings, interruption: Interruption): Promise<Answer> {
  try {
    return await execute(call, 'evalsha', digest, settings)
  } catch (error) {
    // the server does not know the script: nothing happened, and EVAL makes it known
    if (!isReply(error) || !error.message.startsWith('NOSCRIPT') || interruption.hasHappened) throw error
    if (!isReady(settings.client)) throw notConnected(settings.client, settings.name)
    return execute(call, 'eval', publishScript, settings)
  }
}

async function execute(
  { keys, args }: ScriptCall,
  command: 'eval' | 'evalsha',
  script: string,
  { client, acknowledge }: RedisSettings,
): Promise<Answer> {
  const scriptArguments = [script, keys.length, ...keys, ...args]
  if (acknowledge === undefined) return { reply: await client.call(command, scriptArguments), shortfall: undefined }

  // One pipeline, so that WAIT cannot end up on another connection than the script, where it would ask about nothing.
  const waits = waitCommands(acknowledge)
  const replies = await client
    .pipeline([[command, ...scriptArguments], ...waits.map((wait) => ['call', ...wait.command])])
    .exec()
  const [failure, reply] = replies?.[0] ?? [new Error('the pipeline gave no answer'), undefined]
  if (failure) throw failure
  return { reply, shortfall: missingMark(reply) ?? shortfallOf(waits, replies?.slice(1) ?? []) }
}

function shortfallOf(waits: readonly WaitCommand[], replies: readonly [Error | null, unknown][]): string | undefined {
  for (const [index, { shortfall }] of waits.entries()) {
    const [failure, reply] = replies[index] ?? [new Error('no answer'), undefined]
    const found = failure ? failure.message : shortfall(reply)
    if (found !== undefined) return found
  }
  return undefined
}
