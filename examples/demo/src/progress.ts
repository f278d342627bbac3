export interface Progress {
  readonly committed: number
  readonly pending: number
  readonly events: number
  readonly relays: number
  readonly kills: number
}

const barWidth = 32
const lineEveryMs = 1_000

/** A bar on a terminal, a line a second elsewhere. */
export class ProgressDisplay {
  readonly #output: NodeJS.WriteStream
  #lastLine = Number.NEGATIVE_INFINITY

  constructor(output: NodeJS.WriteStream) {
    this.#output = output
  }

  show(progress: Progress): void {
    if (this.#output.isTTY) this.#output.write(`\r\u001b[K${bar(progress)} ${line(progress)}`)
    else if (performance.now() - this.#lastLine >= lineEveryMs) {
      this.#lastLine = performance.now()
      this.#output.write(`${line(progress)}\n`)
    }
  }

  end(progress: Progress): void {
    if (this.#output.isTTY) this.#output.write(`\r\u001b[K${bar(progress)} ${line(progress)}\n`)
    else this.#output.write(`${line(progress)}\n`)
  }
}

function bar({ committed, pending, events }: Progress): string {
  const filled = Math.round((barWidth * Math.max(0, committed - pending)) / events)
  return `[${'█'.repeat(filled)}${'·'.repeat(barWidth - filled)}]`
}

function line({ committed, pending, events, relays, kills }: Progress): string {
  const published = Math.max(0, committed - pending)
  return `committed ${committed}/${events} · published ${published} · relays ${relays} · killed ${kills}`
}
