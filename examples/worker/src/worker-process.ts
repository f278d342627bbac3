import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export interface WorkerEnd {
  readonly code: number | null
  /** what it printed */
  readonly lastWords: string
}

/** The program `worker.ts` in a process of its own. Disposing kills it, if it still runs. */
export class WorkerProcess implements Disposable {
  readonly #child: ChildProcess
  readonly end: Promise<WorkerEnd>

  constructor(environment: Readonly<Record<string, string>>) {
    const program = fileURLToPath(new URL('./worker.ts', import.meta.url))
    const child = spawn(process.execPath, [...process.execArgv, program], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child = child
    this.end = Promise.all([text(child.stdout), once(child, 'exit')]).then(([lastWords, [code]]) => ({
      code,
      lastWords,
    }))
  }

  /** What a platform does to stop a container. */
  async terminate(): Promise<WorkerEnd> {
    this.#child.kill('SIGTERM')
    return this.end
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}
