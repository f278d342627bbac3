import { execa } from 'execa'
import { compileCache, nodeProgram } from './node-program.ts'
import { processTree, signalAll, stillRunning } from './process-tree.ts'
import { waitFor } from './wait-for.ts'

export interface SpawnNodeOptions {
  /** added to this process's environment */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** flags of Node itself */
  readonly nodeArguments?: readonly string[]
}

/** How a child ended: exactly one of the two is set. */
export interface ChildExit {
  readonly code: number | undefined
  readonly signal: string | undefined
}

/**
 * A Node process of the test's own. It speaks in lines of JSON on its standard output, and listens to lines of JSON
 * on its standard input, which ends when this process dies.
 */
export interface NodeChild extends AsyncDisposable {
  readonly pid: number
  /** every line so far that was JSON, oldest first */
  readonly messages: readonly unknown[]
  /**
   * The next message that `accepts` takes, among those not looked at by earlier calls.
   *
   * @throws {Error} with the child's output when it ends first, or after `timeoutMs` (default 120,000)
   */
  next(accepts?: (message: unknown) => boolean, timeoutMs?: number): Promise<unknown>
  /** Writes one line of JSON to the child's standard input. */
  send(message: unknown): void
  /** Sends a signal; resolves with the child's end for those that end it. */
  signal(name: NodeJS.Signals): Promise<ChildExit>
  /** SIGKILL; resolves when the child and its own children are gone. */
  kill(): Promise<ChildExit>
  /** Holds the process where it is (SIGSTOP). */
  pause(): void
  /** Lets it go on (SIGCONT). */
  continue(): void
  /** resolves when the process has ended, and never rejects */
  readonly exit: Promise<ChildExit>
  /** all it printed, both streams, for the message of a failing test */
  output(): string
}

/** Starts a TypeScript file under Node 24, the workspace's packages resolving to their source. */
export function spawnNode(file: string, args: readonly string[] = [], options: SpawnNodeOptions = {}): NodeChild {
  const flags = ['--conditions=@outbox/source', '--disable-warning=ExperimentalWarning']
  const child = execa(nodeProgram(), [...flags, ...(options.nodeArguments ?? []), file, ...args], {
    env: { ...compileCache, ...options.env },
    ...(options.cwd ? { cwd: options.cwd } : {}),
    reject: false,
    buffer: false,
    // a process that does not end when it is told to is for the test to find, and not to be killed unseen
    forceKillAfterDelay: false,
    // dies with this process when it exits in an orderly way; the standard input tells it of the other ways
    cleanup: true,
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`could not start ${file}`)

  const messages: unknown[] = []
  const printed: string[] = []
  let looked = 0
  let ended: ChildExit | undefined
  const outputRead = readLines(child.stdout, (line) => {
    printed.push(line)
    const message = parseMessage(line)
    if (message !== undefined) messages.push(message)
  })
  const errorsRead = readLines(child.stderr, (line) => printed.push(line))
  const exit = (async (): Promise<ChildExit> => {
    const [result] = await Promise.all([child, outputRead, errorsRead])
    ended = { code: result.exitCode, signal: result.signal }
    return ended
  })()
  const output = () => printed.join('\n')

  const kill = async (): Promise<ChildExit> => {
    const pids = ended ? [] : processTree(pid)
    signalAll(pids, 'SIGKILL')
    await waitFor(() => stillRunning(pids).length === 0, { what: `${file} to be gone after SIGKILL` })
    return exit
  }

  return {
    pid,
    messages,
    exit,
    output,
    kill,
    next: async (accepts = () => true, timeoutMs = 120_000) => {
      const look = () => {
        while (looked < messages.length) {
          const message = messages[looked++]
          if (accepts(message)) return { message }
        }
        if (ended) throw new Error(`${file} ended (${JSON.stringify(ended)}) before the message:\n${output()}`)
        return undefined
      }
      const found = await waitFor(look, { what: `a message of ${file}`, timeoutMs, intervalMs: 5 })
      return found.message
    },
    send: (message) => {
      child.stdin.write(`${JSON.stringify(message)}\n`)
    },
    signal: (name) => {
      child.kill(name)
      return exit
    },
    pause: () => signalAll([pid], 'SIGSTOP'),
    continue: () => signalAll([pid], 'SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      await kill()
    },
  }
}

async function readLines(stream: NodeJS.ReadableStream, take: (line: string) => void): Promise<void> {
  let rest = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(take)
  }
  if (rest !== '') take(rest)
}

/** A line of JSON's value; undefined for a line that is something else. */
function parseMessage(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    // an ordinary line of output, kept for `output()`
    return undefined
  }
}
