import { OutboxError, unavailable } from '@outbox/core'
import type { Acknowledged } from './acknowledge.ts'
import { probeCall } from './call.ts'
import { becomesReady, notConnected } from './client.ts'
import { concernsOneStream, errorFromCommand, isReply } from './errors.ts'
import { watchForInterruption } from './interruption.ts'
import type { StreamKeys } from './keys.ts'
import type { RedisSettings } from './options.ts'
import type { RunScript } from './run-script.ts'

export interface ProbedStreams {
  /** none: whether the server answers at all */
  readonly streams: readonly StreamKeys[]
  /** streams that took entries before: what one of `streams` meets and not all of these is its entries' own trouble */
  readonly taken: readonly StreamKeys[]
  /** whether a refusal is let pass where none took entries before, so that one stream does not stop others for ever */
  readonly isTrialDue: boolean
}

/**
 * Resolves when the server could take a write to these streams now, and acknowledge it as asked. Changes nothing; but
 * with `acknowledge` it writes a key of its own for a second, because only a write can be waited for.
 *
 * A PING succeeds on a server that is full, a replica, without the cluster's slot in question, or forbidden to write
 * to: entries would burn their attempts on it. The probe is refused just as the real write would be.
 *
 * @throws {OutboxError} `unavailable`, or `setup-required` where waiting does not help
 */
export async function probe(
  settings: RedisSettings,
  run: RunScript,
  probed: ProbedStreams,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { client, name } = settings
  if (!(await becomesReady(client, signal))) {
    signal?.throwIfAborted()
    throw notConnected(client, name)
  }
  const interruption = watchForInterruption(client, signal ?? new AbortController().signal)
  try {
    const ask = (keys: StreamKeys): Promise<Error | undefined> =>
      refusalIn(run(probeCall(keys, settings), interruption), name)
    const answer = probed.streams.length === 0 ? client.call('ping', []) : probeStreams(probed, ask)
    const reason = await Promise.race([answer.then(() => undefined), interruption.promise])
    if (reason !== undefined) throw new Error(reason)
  } catch (error) {
    signal?.throwIfAborted()
    if (OutboxError.is(error)) throw error
    if (!client.isCluster && isReply(error) && error.message.startsWith('MOVED')) throw notOneServer(name)
    throw errorFromCommand(error, name)
  } finally {
    interruption.dispose()
  }
}

async function probeStreams(
  { streams, taken, isTrialDue }: ProbedStreams,
  ask: (keys: StreamKeys) => Promise<Error | undefined>,
): Promise<void> {
  const refusal = (await Promise.all(streams.map(ask))).find((each) => each !== undefined)
  if (refusal === undefined) return
  const others = await Promise.all(taken.map(ask))
  const isOutage = others.length === 0 ? !isTrialDue : others.every((each) => each !== undefined)
  if (isOutage) throw refusal
}

/** The server's answer that it does not take writes to this very stream; undefined if it does. @throws any other */
async function refusalIn(answer: Promise<Acknowledged>, name: string): Promise<Error | undefined> {
  try {
    const { shortfall } = await answer
    if (shortfall === undefined) return undefined
    throw unavailable(`'${name}': Redis takes writes and cannot acknowledge them as asked: ${shortfall}`, {
      system: name,
    })
  } catch (error) {
    if (concernsOneStream(error)) return error
    throw error
  }
}

function notOneServer(name: string): OutboxError<'setup-required'> {
  const missing = "a client of the cluster: the server is one of its nodes, and the stream's slot is another's"
  return new OutboxError('setup-required', `${name}: it needs ${missing}. Write \`new Cluster([…])\`.`, {
    missing: [missing],
  })
}
