import { isReady, notConnected, type RedisArgument, type RedisClient } from './client.ts'
import { nodeOf } from './cluster-slots.ts'
import { wasNotSent } from './errors.ts'
import type { Interruption } from './interruption.ts'
import type { Acknowledge, RedisSettings } from './options.ts'

export interface Acknowledged {
  readonly reply: unknown
  /** why what was written does not count yet; undefined when it does */
  readonly shortfall: string | undefined
}

/** A script as a command: its name, and what stands behind it. */
export type ScriptCommand = readonly [name: 'eval' | 'evalsha', ...args: RedisArgument[]]

/** A pipeline is one text to older versions of ioredis, and Node takes some 512 million characters for one. */
const maxPipelineLength = 256 * 1024 * 1024

interface Asked {
  readonly command: ScriptCommand
  /** characters of all arguments */
  readonly length: number
  readonly interruption: Interruption
  readonly resolve: (acknowledged: Acknowledged) => void
  readonly reject: (error: unknown) => void
}

/**
 * Calls scripts, and then waits on the same connection until what they wrote has got as far as asked.
 *
 * A connection that waits answers nothing else, so waits would queue up behind each other. Therefore scripts of one turn
 * share a wait, and so do those that come while another wait is under way: they gather until it is over.
 */
export class AcknowledgedScripts {
  readonly #client: RedisClient
  readonly #name: string
  readonly #waits: readonly WaitCommand[]
  /** by node; there while a wait is under way */
  readonly #gathered = new Map<string, Asked[]>()

  constructor({ client, name }: Pick<RedisSettings, 'client' | 'name'>, acknowledge: Acknowledge) {
    this.#client = client
    this.#name = name
    this.#waits = waitCommands(acknowledge)
  }

  /**
   * @param key - one of the script's keys
   * @param interruption - once it has happened, the script is not sent any more
   * @throws the script's error; in a cluster also MOVED and ASK, which are not followed here
   */
  call(command: ScriptCommand, key: string, interruption: Interruption): Promise<Acknowledged> {
    return new Promise((resolve, reject) => {
      const length = command.reduce((sum: number, argument) => sum + String(argument).length, 0)
      const asked = { command, length, interruption, resolve, reject }
      const node = nodeOf(key, this.#client)
      const gathered = this.#gathered.get(node)
      if (gathered) gathered.push(asked)
      else void this.#sendAll(node, [asked])
    })
  }

  async #sendAll(node: string, gathered: Asked[]): Promise<void> {
    this.#gathered.set(node, gathered)
    await Promise.resolve() // what is asked in this turn goes along
    while (gathered.length > 0) await this.#send(takeUpTo(maxPipelineLength, gathered))
    this.#gathered.delete(node)
  }

  /** Ends with the answers, or once nobody waits for them. */
  async #send(asked: readonly Asked[]): Promise<void> {
    const open = asked.filter(({ interruption, reject }) => {
      if (interruption.hasHappened) reject(new Error('nothing was sent: it was told to stop waiting'))
      return !interruption.hasHappened
    })
    if (!isReady(this.#client)) {
      for (const { reject } of open) reject(notConnected(this.#client, this.#name))
    } else if (open.length > 0) {
      const interruptions = open.map(({ interruption }) => interruption.promise)
      await Promise.race([this.#exec(open), Promise.all(interruptions)])
    }
  }

  /** One pipeline: a wait of its own could end up on another connection, where it would ask about nothing. */
  async #exec(asked: readonly Asked[]): Promise<void> {
    const commands = [...asked, ...this.#waits].map(({ command: [name, ...args] }) => ['call', name, args])
    try {
      // arguments in one array: ioredis hands what stands beside it to a function, which takes some 100,000 at most
      const replies = (await this.#client.pipeline(commands).exec()) ?? []
      const shortfall = shortfallOf(this.#waits, replies.slice(asked.length))
      for (const [index, { resolve, reject }] of asked.entries()) {
        const [failure, reply] = replies[index] ?? [new Error('the pipeline gave no answer'), undefined]
        if (failure) reject(failure)
        else resolve({ reply, shortfall })
      }
    } catch (error) {
      // the client has learnt meanwhile that a slot is elsewhere
      if (asked.length > 1 && wasNotSent(error)) await Promise.all(asked.map((one) => this.#exec([one])))
      else for (const { reject } of asked) reject(error)
    }
  }
}

/** Takes the first ones out that have no more than so many characters together; one in any case. */
export function takeUpTo<Sized extends { readonly length: number }>(limit: number, from: Sized[]): readonly Sized[] {
  let total = 0
  const isBeyond = ({ length }: Sized, index: number): boolean => {
    total += length
    return index > 0 && total > limit
  }
  const count = from.findIndex(isBeyond)
  return from.splice(0, count === -1 ? from.length : count)
}

function shortfallOf(waits: readonly WaitCommand[], replies: readonly [Error | null, unknown][]): string | undefined {
  for (const [index, { shortfall }] of waits.entries()) {
    const [failure, reply] = replies[index] ?? [new Error('no answer'), undefined]
    const found = failure ? failure.message : shortfall(reply)
    if (found !== undefined) return found
  }
  return undefined
}

/** A command that waits until what this connection wrote has got further, and how to read its answer. */
interface WaitCommand {
  readonly command: readonly [name: string, ...args: RedisArgument[]]
  /** what is missing, or undefined when it has got there */
  readonly shortfall: (reply: unknown) => string | undefined
}

/** The commands that make sure of what was asked. */
function waitCommands({ replicas = 0, fsync, timeoutMs }: Acknowledge): readonly WaitCommand[] {
  const commands: WaitCommand[] = []
  if (fsync !== undefined) {
    const others = fsync === 'all' ? replicas : 0
    commands.push({
      command: ['waitaof', 1, others, timeoutMs],
      shortfall: (reply) => {
        const [local, remote]: readonly unknown[] = Array.isArray(reply) ? reply : []
        if (Number(local) >= 1 && Number(remote) >= others) return undefined
        return `after ${timeoutMs} ms it was on the disk of ${Number(local)} primary and ${Number(remote)} of ${others} replicas`
      },
    })
  }
  if (replicas > 0 && fsync !== 'all') {
    commands.push({
      command: ['wait', replicas, timeoutMs],
      shortfall: (reply) =>
        Number(reply) >= replicas
          ? undefined
          : `after ${timeoutMs} ms it was on ${Number(reply)} of ${replicas} replicas`,
    })
  }
  return commands
}
