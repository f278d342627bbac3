import { OutboxError, type PublishOutcome, permanent, unavailable } from '@outbox/core'

/** An outcome that carries an error. */
export type Failure = Extract<PublishOutcome, { readonly error: unknown }>

interface Rule {
  /** what the server's reply begins with, or holds */
  readonly pattern: RegExp
  readonly status: 'retry' | 'reject' | 'unavailable' | 'setUp' | 'stream'
  /** what a person may do */
  readonly advice: string
}

/**
 * What a reply of the server means for an entry. The first rule that fits counts; without one it is `retry`.
 *
 * `unavailable`: the server as a whole cannot take writes now, so no entry is to blame; the probe, a write that
 * changes nothing, fails with the same reply for as long as that lasts. `setUp`: the same, until a person mends it.
 * `stream`: a person has to mend it, and only this stream is concerned, or all are: `retry` until `withOutage` knows.
 * `retry`: this try failed. `reject`: no later try can succeed.
 */
const rules: readonly Rule[] = [
  { pattern: /^OOM\b/, status: 'unavailable', advice: 'it has reached maxmemory: raise it, or trim streams' },
  {
    pattern: /^READONLY\b/,
    status: 'unavailable',
    advice: 'it is a replica: connect to the primary, or wait for the fail-over',
  },
  { pattern: /^LOADING\b/, status: 'unavailable', advice: 'it is loading its data' },
  { pattern: /^MISCONF\b/, status: 'unavailable', advice: 'it cannot save to disk' },
  { pattern: /^MASTERDOWN\b/, status: 'unavailable', advice: 'it is a replica without its primary' },
  { pattern: /^NOREPLICAS\b/, status: 'unavailable', advice: 'it has fewer replicas than min-replicas-to-write' },
  { pattern: /^BUSY\b/, status: 'unavailable', advice: 'a script keeps it busy' },
  {
    pattern: /^(?:CLUSTERDOWN|MOVED|ASK|TRYAGAIN)\b/,
    status: 'unavailable',
    advice: 'the cluster is being rearranged, or the client is not one of the whole cluster',
  },
  {
    // the last is what a long command gets before authentication, in place of NOAUTH
    pattern: /^(?:NOAUTH|WRONGPASS)\b|unauthenticated (?:multi)?bulk length/,
    status: 'unavailable',
    advice: "it wants other credentials: see the client's username and password",
  },
  { pattern: /max number of clients/, status: 'unavailable', advice: 'it has reached maxclients' },
  {
    pattern: /permissions to access|user executing the script can't access/,
    status: 'stream',
    advice: 'the ACL user lacks a key that the README lists',
  },
  {
    pattern: /^NOPERM\b|ACL failure|user executing the script can't run/,
    status: 'setUp',
    advice: 'the ACL user lacks a command that the README lists',
  },
  { pattern: /^WRONGTYPE\b/, status: 'stream', advice: 'the key is there and is no stream: rename one of the two' },
  { pattern: /^CROSSSLOT\b/, status: 'retry', advice: 'a proxy before it does not know {tags} in keys' },
  {
    pattern: /too large to be stored|exceeds maximum allowed size/,
    status: 'reject',
    advice: 'the entry is too large',
  },
]

/** The meaning of an error that the server answered with: nothing was written for the entry. */
export function failureFromReply(message: string, system: string): Failure {
  const refusal = refusalIn(message)
  const rule = ruleFor(refusal)
  const text = `Redis refused: ${refusal}${rule ? ` (${rule.advice})` : ''}`
  switch (rule?.status) {
    case 'unavailable':
      return { status: 'unavailable', error: unavailable(text, { system }) }
    case 'setUp':
      return { status: 'unavailable', error: setUpRequired(text) }
    case 'stream':
      return { status: 'retry', error: setUpRequired(text) }
    case 'reject':
      return { status: 'reject', error: permanent(text, { system }) }
    default:
      return { status: 'retry', error: new Error(text) }
  }
}

/**
 * Makes refusals of a stream an outage, until the probe says otherwise, if it is the only stream, or no other took
 * anything. With a neighbour that took entries just now, they are its own entries' trouble.
 */
export function withOutage(
  outcomes: readonly PublishOutcome[],
  { isOnlyStream }: { readonly isOnlyStream: boolean },
): readonly PublishOutcome[] {
  if (!isOnlyStream && outcomes.some(({ status }) => status === 'published')) return outcomes
  return outcomes.map((outcome) =>
    outcome.status === 'retry' && OutboxError.is(outcome.error, 'setup-required')
      ? { status: 'unavailable', error: outcome.error }
      : outcome,
  )
}

/** Whether the server answered that it does not take writes to this stream, and may take them to others. */
export function concernsOneStream(error: unknown): error is Error {
  return isReply(error) && ruleFor(refusalIn(error.message))?.status === 'stream'
}

function setUpRequired(text: string): OutboxError<'setup-required'> {
  return new OutboxError('setup-required', text, { missing: [text] })
}

/** Redis before 7.0 puts before what it refuses within a script where that stands: `@user_script: 58: -READONLY …`. */
const placeInScript = /^(?:@?user_script: ?\d+: )+-?/

/** What the server refused, as it says it outside of a script. */
function refusalIn(message: string): string {
  return message.replace(placeInScript, '').trimEnd()
}

function ruleFor(refusal: string): Rule | undefined {
  return rules.find(({ pattern }) => pattern.test(refusal))
}

/**
 * The meaning of an error that a command ended with, once it was given to a client that was ready.
 *
 * Anything but a reply of the server (connection closed, retries used up, time-out, redirections used up) leaves open
 * what became of it: `unknown`. Some errors say for sure that it never left: `unavailable`.
 *
 * The client's error is not passed on as a cause: it carries the command, and so the payloads.
 */
export function failureFromCommand(error: unknown, system: string): Failure {
  const message = error instanceof Error ? error.message : String(error)
  if (isReply(error)) return failureFromReply(message, system)
  if (wasNotSent(error)) {
    return { status: 'unavailable', error: unavailable(`Nothing was sent to Redis: ${message}`, { system }) }
  }
  return unanswered(message, system)
}

/** Whether the client says for sure that it did not send what it was given. */
export function wasNotSent(error: unknown): error is Error {
  return (
    error instanceof Error &&
    /enableOfflineQueue options is false|Connection in subscriber mode|in monitoring mode|same slots allocation group/.test(
      error.message,
    )
  )
}

/** The outcome of a command that was sent and has no answer. */
export function unanswered(reason: string, system: string): Failure {
  return {
    status: 'unknown',
    error: new Error(`'${system}' got no answer from Redis and may have delivered: ${reason}`),
  }
}

/** The error for a check or a probe: `unavailable` where waiting may help, `setup-required` where it does not. */
export function errorFromCommand(error: unknown, system: string): OutboxError {
  const failure = failureFromCommand(error, system)
  if (OutboxError.is(failure.error, 'unavailable')) return failure.error
  const message = failure.error instanceof Error ? failure.error.message : String(failure.error)
  return failure.status === 'unknown'
    ? unavailable(message, { system })
    : new OutboxError('setup-required', `${system}: ${message}`, { missing: [message] })
}

/** Whether the server answered with this error; told by name, since there may be two copies of the class. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}
