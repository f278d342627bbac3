import { parseArgs } from 'node:util'

export const storeNames = ['sqlite', 'libsql', 'pglite', 'postgres', 'mysql', 'mariadb', 'mongo'] as const
export const brokerNames = ['file', 'redis', 'nats'] as const
export type StoreName = (typeof storeNames)[number]
export type BrokerName = (typeof brokerNames)[number]

export interface DemoOptions {
  readonly events: number
  readonly aggregates: number
  readonly seed: number
  readonly kills: number
  readonly producers: number
  readonly relays: number
  readonly store: StoreName
  readonly broker: BrokerName
}

export const help = `npm run demo -- [flags]

  --events N       events to commit                      (default 10000)
  --aggregates N   orders they are spread over           (default 200)
  --kills N        SIGKILLs of a relay                   (default 5)
  --producers N    processes that write                  (default 1)
  --relays N       processes that publish; the last one joins half-way (default 2)
  --seed N         repeats the same orders and moments   (default: a new one)
  --store NAME     default sqlite: a file, nothing to install
                   (${storeNames.join(', ')})
  --broker NAME    default file
                   (${brokerNames.join(', ')})
  --help

postgres is found by DATABASE_URL, mysql by MYSQL_URL, mariadb by MARIADB_URL, mongo by MONGODB_URI, redis by
REDIS_URL, nats by NATS_URL; else on their standard ports.`

/** Flags that cannot be; the message tells what to write instead. */
export class UsageError extends Error {}

/** @throws {UsageError} */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' {
  const values = parsed(args)
  if (values.help) return 'help'
  return {
    events: wholeNumber('events', values.events, 1),
    aggregates: wholeNumber('aggregates', values.aggregates, 1),
    kills: wholeNumber('kills', values.kills, 0),
    producers: wholeNumber('producers', values.producers, 1),
    relays: wholeNumber('relays', values.relays, 1),
    seed: wholeNumber('seed', values.seed, 0),
    store: oneOf('store', values.store, storeNames),
    broker: oneOf('broker', values.broker, brokerNames),
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        events: { type: 'string', default: '10000' },
        aggregates: { type: 'string', default: '200' },
        kills: { type: 'string', default: '5' },
        producers: { type: 'string', default: '1' },
        relays: { type: 'string', default: '2' },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        store: { type: 'string', default: 'sqlite' },
        broker: { type: 'string', default: 'file' },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    const isMistyped = error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')
    throw isMistyped ? new UsageError(error.message) : error
  }
}

function wholeNumber(flag: string, text: string, least: number): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < least)
    throw new UsageError(`--${flag} ${text}: write a whole number from ${least} on`)
  return number
}

function oneOf<const Name extends string>(flag: string, text: string, names: readonly Name[]): Name {
  const name = names.find((each) => each === text)
  if (name === undefined) throw new UsageError(`--${flag} ${text}: there are ${names.join(', ')}`)
  return name
}
