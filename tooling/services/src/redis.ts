import type { ServiceName } from './catalogue.ts'
import { firstAnswer } from './first-answer.ts'
import { versionOf, type Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { programOf } from './program-of.ts'

export interface StartRedisOptions extends Wanted {
  /** redis.conf settings, such as `{ maxmemory: '2mb' }`; an array repeats the setting */
  readonly config?: Readonly<Record<string, string | readonly string[]>>
}

/** Starts a Redis of the test's own; it keeps nothing on disk unless `config` says so. */
export function startRedis(options: StartRedisOptions = {}): Promise<OwnServer> {
  return start('redis', 'Redis', options)
}

/** Starts a Valkey of the test's own; it keeps nothing on disk unless `config` says so. */
export function startValkey(options: StartRedisOptions = {}): Promise<OwnServer> {
  return start('valkey', 'Valkey', options)
}

async function start(name: ServiceName, title: string, { config, ...wanted }: StartRedisOptions): Promise<OwnServer> {
  const program = programOf(name, wanted)
  const settings = Object.entries({ save: '', appendonly: 'no', ...config })
  return launch({
    title,
    version: versionOf(program),
    program,
    programArguments: (port, directory) => [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', directory],
      ...settings.flatMap(([key, value]) => [value].flat().flatMap((one) => [`--${key}`, one])),
    ],
    url: (port) => `redis://127.0.0.1:${port}`,
    // with a password it answers -NOAUTH, which will do; while loading -LOADING, which will not
    answers: async (port) => /^(\+PONG|-NOAUTH)/.test(await askRedis(port, 'PING')),
    stopSignal: 'SIGTERM',
  })
}

/** Sends one command without spaces in its arguments; the first piece of the answer as it came, empty for none. */
export async function askRedis(port: number, command: string): Promise<string> {
  return (await firstAnswer(port, `${command}\r\n`)) ?? ''
}
