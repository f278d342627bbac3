import type { RedisArgument } from './client.ts'
import type { Acknowledge } from './options.ts'

/** A command that waits until what this connection wrote has got further, and how to read its answer. */
export interface WaitCommand {
  readonly command: readonly [name: string, ...args: RedisArgument[]]
  /** what is missing, or undefined when it has got there */
  readonly shortfall: (reply: unknown) => string | undefined
}

/** The commands that make sure of what was asked; they go out on the script's connection, right behind it. */
export function waitCommands({ replicas = 0, fsync, timeoutMs }: Acknowledge): readonly WaitCommand[] {
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
