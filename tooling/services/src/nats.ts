import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { firstAnswer } from './first-answer.ts'
import { versionOf, type Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { programOf } from './program-of.ts'

export interface StartNatsOptions extends Wanted {
  /** lines of a nats-server configuration file, such as `max_payload: 1024` */
  readonly config?: string
}

/** Starts a nats-server of the test's own, with JetStream, whose streams outlive a restart. */
export async function startNats({ config = '', ...wanted }: StartNatsOptions = {}): Promise<OwnServer> {
  const program = programOf('nats', wanted)
  return launch({
    title: 'NATS',
    version: versionOf(program),
    program,
    prepare: (directory) => writeFile(join(directory, 'nats.conf'), `${config}\n`),
    programArguments: (port, directory) => [
      ...['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', join(directory, 'jetstream')],
      ...['-c', join(directory, 'nats.conf')],
    ],
    url: (port) => `nats://127.0.0.1:${port}`,
    // it listens only when its streams are recovered
    answers: async (port) => ((await firstAnswer(port, '')) ?? '').includes('"jetstream":true'),
    stopSignal: 'SIGTERM',
  })
}
