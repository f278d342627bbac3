import { type CallOptions, OutboxError } from '@outbox/core'
import { untilAborted } from '@outbox/core/adapter'
import type { ScriptCommand } from './acknowledge.ts'
import { connectionOptions, type RedisArgument } from './client.ts'
import { errorFromCommand, isReply } from './errors.ts'
import type { StreamKeys } from './keys.ts'
import type { RedisSettings } from './options.ts'
import { probe } from './probe.ts'
import { scriptRunner } from './run-script.ts'

/** The oldest server that speaks all that is used here. */
const oldestVersion = '6.2'
/** where WAITAOF came */
const oldestFsyncVersion = '7.2'

/** A connection may be without data for so long while a command is under way, milliseconds: enough for any answer. */
const advisedSocketTimeoutMs = 10_000

const scriptCommands: readonly ScriptCommand[0][] = ['eval', 'evalsha']

interface Check {
  readonly settings: RedisSettings
  readonly ask: (command: string, ...args: RedisArgument[]) => Promise<unknown>
  readonly require: (isMet: boolean, missing: string) => void
  readonly warn: (text: string) => void
}

/**
 * Looks at client, server and stream once, at start. Writes nothing.
 *
 * @returns warnings: what works, and may surprise
 * @throws {OutboxError} `setup-required` when it cannot work; `unavailable` when the server is away
 */
export async function checkSetup(
  settings: RedisSettings,
  streams: readonly StreamKeys[],
  { retryHorizonMs, signal }: { readonly retryHorizonMs: number } & CallOptions,
): Promise<readonly string[]> {
  const { client, name, dedupeWindowMs } = settings
  const warnings: string[] = []
  const check: Check = {
    settings,
    ask: (command, ...args) => untilAborted(client.call(command, args), signal),
    require: (isMet, missing) => {
      if (!isMet) throw new OutboxError('setup-required', `${name}: ${missing}.`, { missing: [missing] })
    },
    warn: (text) => void warnings.push(`${name}: ${text}.`),
  }
  checkClient(check)
  try {
    // whether it can acknowledge is asked when it must: first it should be told what keeps it from that for ever
    const unacknowledged = { ...settings, acknowledge: undefined }
    const probed = { streams, taken: streams, isTrialDue: false }
    await probe(unacknowledged, scriptRunner(unacknowledged), probed, signal)
    await checkServer(check)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
  if (retryHorizonMs > dedupeWindowMs) {
    check.warn(
      `entries are retried for up to ${retryHorizonMs} ms and repeats are dropped for ${dedupeWindowMs} ms: later repeats reach consumers; write dedupeWindowMs: ${retryHorizonMs}, or use an inbox`,
    )
  }
  return warnings
}

function checkClient({ settings: { client, acknowledge }, require, warn }: Check): void {
  const { autoResendUnfulfilledCommands, enableAutoPipelining, maxRetriesPerRequest, retryStrategy } = client.options
  const { autoPipeliningIgnoredCommands: sentAlone = [] } = client.options
  require(client.status !==
    'end', 'the client is closed, or its retryStrategy gave up: pass one that stays, `new Redis()`')
  if (connectionOptions(client).socketTimeout === undefined) {
    const advised = `{ socketTimeout: ${Math.max(advisedSocketTimeoutMs, 2 * (acknowledge?.timeoutMs ?? 0))} }`
    const attentive = client.isCluster ? `new Cluster([…], { redisOptions: ${advised} })` : `new Redis(${advised})`
    warn(
      `the client waits up to a quarter of an hour on a connection that went silent, and the probe with it; write \`${attentive}\`, or more, if the client has blocking commands that take longer`,
    )
  }
  if (client.isCluster) {
    require(!enableAutoPipelining ||
      scriptCommands.every((command) =>
        sentAlone.includes(command),
      ), "ioredis before 5.11 puts scripts for several nodes into one pipeline, and sends none of it: leave enableAutoPipelining out, or add autoPipeliningIgnoredCommands: ['eval', 'evalsha']")
    return
  }
  require(!enableAutoPipelining ||
    autoResendUnfulfilledCommands !==
      false, 'a connection that breaks would leave the client collecting commands that it never sends (ioredis): leave enableAutoPipelining or autoResendUnfulfilledCommands: false out')
  if ('retryStrategy' in client.options && typeof retryStrategy !== 'function') {
    warn('the client never connects again once its connection is lost: leave retryStrategy out')
  }
  if (maxRetriesPerRequest === null && autoResendUnfulfilledCommands !== false) {
    warn(
      'with maxRetriesPerRequest: null the client keeps what was not answered for as long as the server is away, and sends it again after; write `new Redis({ maxRetriesPerRequest: null, autoResendUnfulfilledCommands: false })`',
    )
  }
}

async function checkServer(check: Check): Promise<void> {
  const { require, warn, settings } = check
  const { acknowledge } = settings
  const info = await ifAllowed(check, 'info')
  if (typeof info !== 'string') {
    warn('the ACL user may not call INFO, so version, eviction and persistence were not looked at')
    return
  }
  const value = (field: string): string | undefined => new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const version = value('redis_version') ?? oldestVersion
  require(isAtLeast(version, oldestVersion), `Redis ${version} is too old: ${oldestVersion} is the oldest that works`)

  if (value('cluster_enabled') === '1' && !settings.client.isCluster) {
    warn(
      'the server is a node of a cluster, and the client is not: streams whose slots are on other nodes cannot be written; write `new Cluster([…])`',
    )
  }

  const policy = value('maxmemory_policy') ?? 'noeviction'
  if (value('maxmemory') !== '0' && policy.startsWith('allkeys-')) {
    warn(`maxmemory-policy ${policy} deletes streams, fences and dedupe keys when memory is short: write noeviction`)
  } else if (value('maxmemory') !== '0' && policy.startsWith('volatile-')) {
    warn(
      `maxmemory-policy ${policy} deletes dedupe keys when memory is short, so repeats come through: write noeviction`,
    )
  }

  const hasAppendOnlyFile = value('aof_enabled') === '1'
  if (acknowledge?.fsync !== undefined) {
    require(isAtLeast(
      version,
      oldestFsyncVersion,
    ), `acknowledge.fsync needs Redis ${oldestFsyncVersion}, this is ${version}`)
    require(hasAppendOnlyFile, 'acknowledge.fsync needs an append-only file: set `appendonly yes`')
    const policy = await configured(check, 'appendfsync')
    if (policy === 'everysec' || policy === 'no') {
      const often = policy === 'everysec' ? 'once a second' : 'when the system sees fit, which can be half a minute'
      warn(
        `with \`appendfsync ${policy}\` the server writes to its disk ${often}, and every publish waits for it: set \`appendfsync always\``,
      )
    }
  }
  if (!hasAppendOnlyFile && (await configured(check, 'save')) === '') {
    warn(
      'the server keeps nothing on disk (appendonly no, save ""): a restart loses the stream, entries included that were published',
    )
  }
}

/** A setting of the server; undefined where one may not ask. */
async function configured(check: Check, name: string): Promise<unknown> {
  const reply = await ifAllowed(check, 'config', 'get', name)
  if (Array.isArray(reply)) return reply[1]
  // ioredis 6 with replyMapping: 'resp3'
  return typeof reply === 'object' && reply !== null ? Reflect.get(reply, name) : undefined
}

/** A command that managed servers and ACL users often lack: undefined where the server refuses it. */
async function ifAllowed({ ask, settings: { name } }: Check, command: string, ...args: string[]): Promise<unknown> {
  try {
    return await ask(command, ...args)
  } catch (error) {
    if (isReply(error)) return undefined
    throw errorFromCommand(error, name)
  }
}

function isAtLeast(version: string, oldest: string): boolean {
  return version.localeCompare(oldest, 'en', { numeric: true }) >= 0
}
