import type { RedisArgument, RedisClient } from './client.ts'
import type { Acknowledge } from './options.ts'

export interface Acknowledged {
  readonly reply: unknown
  /** why what was written does not count yet; undefined when it does */
  readonly shortfall: string | undefined
}

/**
 * Calls a command, and then waits on the same connection until what was written there has got as far as asked.
 *
 * One pipeline, so that WAIT cannot end up on another connection, where it would ask about nothing. In a cluster a
 * pipeline follows no redirection: the command's error is MOVED or ASK then.
 */
export async function callAcknowledged(
  client: RedisClient,
  [command, ...args]: readonly [name: string, ...args: RedisArgument[]],
  acknowledge: Acknowledge | undefined,
): Promise<Acknowledged> {
  if (acknowledge === undefined) return { reply: await client.call(command, args), shortfall: undefined }
  const waits = waitCommands(acknowledge)
  // arguments in one array: ioredis hands what stands beside it to a function, which takes some 100,000 at most
  const replies = await client
    .pipeline([['call', command, args], ...waits.map((wait) => ['call', ...wait.command])])
    .exec()
  const [failure, reply] = replies?.[0] ?? [new Error('the pipeline gave no answer'), undefined]
  if (failure) throw failure
  return { reply, shortfall: shortfallOf(waits, replies?.slice(1) ?? []) }
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

/** The commands that make sure of what was asked; they go out right behind the write. */
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
