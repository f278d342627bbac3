import { type ChildProcess, spawn } from 'node:child_process'
import { chownSync, closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { processTree, signalAll, stillRunning } from './process-tree.ts'
import { waitFor } from './wait-for.ts'
import { startWatchdog } from './watchdog.ts'

/** How to run one server program on a port and a folder that are given. */
export interface LaunchPlan {
  readonly title: string
  readonly version: string
  readonly program: string
  readonly programArguments: (port: number, directory: string) => readonly string[]
  /** the unprivileged user to run as, for programs that refuse to be root */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** what has to be done once in the new folder */
  readonly prepare?: (directory: string, port: number) => Promise<void>
  readonly url: (port: number) => string
  /** whether the server answers as it should; must not throw for "not yet" */
  readonly answers: (port: number) => Promise<boolean>
  readonly stopSignal: NodeJS.Signals
  /** added to this process's environment, for the server only */
  readonly environment?: Readonly<Record<string, string>>
}

/**
 * A server that belongs to one test: it may be killed, paused, stopped and started again on the same port and folder.
 *
 * Disposing ends it and removes its folder, and so does the death of this process, by whatever signal.
 */
export interface OwnServer extends AsyncDisposable {
  readonly title: string
  readonly version: string
  readonly url: string
  readonly host: string
  readonly port: number
  readonly directory: string
  /** Kills the server with all its processes; resolves when they are gone. */
  kill(): Promise<void>
  /** Stops the server in an orderly way; resolves when it is gone. */
  stop(): Promise<void>
  /** Starts the server again on the same port and folder, stopping it first if it runs; resolves when it answers. */
  restart(): Promise<void>
  /** Holds all its processes where they are (SIGSTOP). */
  pause(): void
  /** Lets them go on (SIGCONT). */
  continue(): void
  /** what the server has printed so far */
  log(): Promise<string>
}

const startTimeoutMs = 60_000
const stopTimeoutMs = 20_000

/**
 * Starts a server on a free port, in a folder of its own; resolves when it answers.
 *
 * @throws {Error} with the server's log when it exits instead, or does not answer within a minute
 */
export async function launch(plan: LaunchPlan): Promise<OwnServer> {
  const directory = await mkdtemp(join(tmpdir(), `outbox-${plan.title.toLowerCase()}-`))
  if (plan.user) chownSync(directory, plan.user.uid, plan.user.gid)
  const watchdog = startWatchdog(directory)
  const logFile = join(directory, 'server.log')
  const log = () => readFile(logFile, 'utf8')
  let child: ChildProcess | undefined

  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null
  const tree = () => (isRunning() && child?.pid !== undefined ? processTree(child.pid) : [])

  const start = async (): Promise<void> => {
    const output = openSync(logFile, 'a')
    const started = spawn(plan.program, [...plan.programArguments(port, directory)], {
      cwd: directory,
      detached: true,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...plan.environment },
      ...plan.user,
    })
    closeSync(output)
    child = started
    let failure: Error | undefined
    started.once('error', (error) => {
      failure = error
    })
    watchdog.guard(started.pid)
    started.unref()
    await waitFor(
      async () => {
        if (failure) throw new Error(`${plan.title} (${plan.program}) did not start`, { cause: failure })
        if (!isRunning()) throw new Error(`${plan.title} (${plan.program}) exited at start:\n${await log()}`)
        return (await plan.answers(port)) && isRunning()
      },
      { what: `${plan.title} on port ${port}, log in ${logFile}`, timeoutMs: startTimeoutMs },
    )
  }

  const endWith = async (signal: NodeJS.Signals): Promise<void> => {
    const pids = tree()
    signalAll(signal === 'SIGKILL' ? pids : pids.slice(0, 1), signal)
    await waitFor(() => !isRunning() && stillRunning(pids).length === 0, {
      what: `${plan.title} to end after ${signal}`,
      timeoutMs: stopTimeoutMs,
    })
    watchdog.guard(undefined)
  }

  const dispose = async (): Promise<void> => {
    await endWith('SIGKILL')
    watchdog.release()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }

  const port = await freePort()
  try {
    await plan.prepare?.(directory, port)
    await start()
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    title: plan.title,
    version: plan.version,
    url: plan.url(port),
    host: '127.0.0.1',
    port,
    directory,
    kill: () => endWith('SIGKILL'),
    stop: () => endWith(plan.stopSignal),
    restart: async () => {
      if (isRunning()) await endWith(plan.stopSignal)
      await start()
    },
    pause: () => signalAll(tree(), 'SIGSTOP'),
    continue: () => signalAll(tree(), 'SIGCONT'),
    log,
    [Symbol.asyncDispose]: dispose,
  }
}
