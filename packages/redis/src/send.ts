import { OutboxError, type PublishOutcome } from '@outbox/core'
import type { Acknowledged } from './acknowledge.ts'
import { missingMark, outcomesFrom, type ScriptCall } from './call.ts'
import { isReady, notConnected } from './client.ts'
import { failureFromCommand, unanswered } from './errors.ts'
import type { Interruption } from './interruption.ts'
import type { RedisSettings } from './options.ts'
import type { RunScript } from './run-script.ts'

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
  run: RunScript,
  interruption: Interruption,
): Promise<readonly PublishOutcome[]> {
  const { client, name, acknowledge } = settings
  const all = (outcome: PublishOutcome): readonly PublishOutcome[] => new Array<PublishOutcome>(count).fill(outcome)
  if (!isReady(client)) return all({ status: 'unavailable', error: notConnected(client, name) })
  try {
    const answer = await Promise.race([run(call, interruption), interruption.promise])
    if (typeof answer === 'string') return all(unanswered(answer, name))
    const outcomes = outcomesFrom(answer.reply, count, name)
    return acknowledge === undefined ? outcomes : acknowledgedOnly(outcomes, answer, name)
  } catch (error) {
    return all(
      OutboxError.is(error, 'unavailable') ? { status: 'unavailable', error } : failureFromCommand(error, name),
    )
  }
}

/** Entries that are in the stream count as published only once the acknowledgement is there, too. */
function acknowledgedOnly(
  outcomes: readonly PublishOutcome[],
  { reply, shortfall }: Acknowledged,
  name: string,
): readonly PublishOutcome[] {
  const reason = missingMark(reply) ?? shortfall
  if (reason === undefined) return outcomes
  return outcomes.map((outcome) => (outcome.status === 'published' ? unanswered(reason, name) : outcome))
}
