import { type Profiler, Session } from 'node:inspector/promises'
import pg from 'pg'
import type { Contestant, Figures } from '../contestant.ts'

/** often enough for a run of a second, rarely enough not to slow it much */
const intervalMicros = 250
/** figures of a run, most expensive first, and only those that anybody would look at */
const shown = 12

/**
 * The same contestant, which tells besides what its time goes into, in µs a row: the CPU of its own process by package,
 * and what PostgreSQL planned and executed, by statement.
 */
export function profiled(contestant: Contestant): Contestant {
  return {
    ...contestant,
    async open(setting) {
      const work = await contestant.open(setting)
      return {
        ...work,
        async run() {
          await using server = setting.url.startsWith('postgres') ? await statements(setting.url) : undefined
          const { profile } = await underProfiler(() => work.run())
          const micros = { ...cpuByPackage(profile), ...(await server?.read()) }
          return mostExpensive(Object.entries(micros).map(([what, all]) => [what, all / setting.rows]))
        },
        [Symbol.asyncDispose]: () => work[Symbol.asyncDispose](),
      }
    },
  }
}

function mostExpensive(figures: readonly (readonly [string, number])[]): Figures {
  return Object.fromEntries(figures.toSorted(([, one], [, other]) => other - one).slice(0, shown))
}

async function underProfiler(run: () => Promise<unknown>): Promise<{ readonly profile: Profiler.Profile }> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: intervalMicros })
  await session.post('Profiler.start')
  await run()
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  return { profile }
}

/** µs of the process's own CPU: what stands still costs none. */
function cpuByPackage({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): Record<string, number> {
  const packages = new Map(nodes.map(({ id, callFrame }) => [id, packageOf(callFrame)]))
  const micros: Record<string, number> = {}
  for (const [index, id] of samples.entries()) {
    const name = packages.get(id)
    if (name !== undefined) micros[`node: ${name}`] = (micros[`node: ${name}`] ?? 0) + (timeDeltas[index] ?? 0)
  }
  return micros
}

/** undefined: nothing runs */
function packageOf({ url, functionName }: Profiler.Profile['nodes'][number]['callFrame']): string | undefined {
  if (functionName === '(idle)' || functionName === '(root)') return undefined
  if (functionName === '(garbage collector)') return 'collection of garbage'
  if (url === '' || url.startsWith('node:') || functionName === '(program)') return 'Node itself'
  const installed = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1]
  const own = /\/packages\/([^/]+)\/src\//.exec(url)?.[1]
  return installed ?? (own === undefined ? 'the benchmark' : `@outbox/${own}`)
}

interface Statements extends AsyncDisposable {
  /** µs that the server has planned and executed so far, by statement */
  read(): Promise<Record<string, number>>
}

async function statements(url: string): Promise<Statements> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query('create extension if not exists pg_stat_statements')
  await client.query('select pg_stat_statements_reset()')
  return {
    async read() {
      const { rows } = await client.query<{ what: string; planning: number; execution: number }>(`
        select regexp_replace(query, '\\s+', ' ', 'g') as what,
          sum(total_plan_time) * 1000 as planning, sum(total_exec_time) * 1000 as execution
        from pg_stat_statements s join pg_database d on d.oid = s.dbid
        where d.datname = current_database() and query not like '%pg_stat_statements%'
        group by 1`)
      return Object.fromEntries(
        rows.flatMap(({ what, planning, execution }) => [
          [`server, execution: ${endsOf(what)}`, execution],
          [`server, planning: ${endsOf(what)}`, planning],
        ]),
      )
    },
    [Symbol.asyncDispose]: () => client.end(),
  }
}

/** enough to tell statements from each other, in a table: many begin alike */
function endsOf(text: string): string {
  const plain = text.replaceAll('|', '¦').trim()
  return plain.length <= 80 ? plain : `${plain.slice(0, 40)} … ${plain.slice(-36)}`
}
