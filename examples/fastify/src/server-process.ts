import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The program `server.ts` in a process of its own. Disposing kills it, if it still runs. */
export class ServerProcess implements Disposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #end: Promise<unknown[]>

  constructor(environment: Readonly<Record<string, string>>) {
    const program = fileURLToPath(new URL('./server.ts', import.meta.url))
    const child = spawn(process.execPath, [...process.execArgv, program], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child = child
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    this.#end = once(child, 'exit')
  }

  /** The next line that it prints and that begins so, without this beginning. @throws {Error} if it ends before */
  async next(beginning: string): Promise<string> {
    for (;;) {
      const line = await this.#lines.next()
      if (line.done) throw new Error(`the server ended before it printed '${beginning}…'`)
      if (line.value.startsWith(beginning)) return line.value.slice(beginning.length)
    }
  }

  /** What a platform does to stop a container. */
  stop(): void {
    this.#child.kill('SIGTERM')
  }

  async exitCode(): Promise<unknown> {
    const [code] = await this.#end
    return code
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}
