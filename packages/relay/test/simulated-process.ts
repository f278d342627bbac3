import type { Publisher } from '@outbox/core'
import type { RelayOptions } from '../src/index.ts'
import type { TestRelay, World } from './world.ts'

/**
 * A relay in a process that can be stopped like one by SIGSTOP, go on where it stood, or die.
 *
 * While it stands still nothing that it says reaches the store or the broker; what it was about to say arrives late.
 */
export class SimulatedProcess {
  readonly test: TestRelay
  #state: 'running' | 'paused' | 'dead' = 'running'
  readonly #goOn: (() => void)[] = []

  constructor(world: World, publisher: Publisher, options: Partial<RelayOptions> = {}) {
    this.test = world.relay(
      {
        ...publisher,
        publish: async (entries, call) => {
          await this.#point()
          return publisher.publish(entries, call)
        },
      },
      options,
    )
    this.test.probe.interfere = async (_method, proceed) => {
      await this.#point()
      const answer = await proceed()
      await this.#point()
      return answer
    }
  }

  get isRunning(): boolean {
    return this.#state === 'running'
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  pause(): void {
    if (this.isRunning) this.#state = 'paused'
  }

  goOn(): void {
    if (this.#state === 'paused') this.#state = 'running'
    if (this.isRunning) for (const goOn of this.#goOn.splice(0)) goOn()
  }

  die(): void {
    this.#state = 'dead'
  }

  /** A step of the process: passed while it runs. */
  async #point(): Promise<void> {
    while (!this.isRunning) await new Promise<void>((resolve) => this.#goOn.push(resolve))
  }
}
