import { type NodeChild, spawnNode } from '@outbox/services'
import type { Arena, Place, ServerFigures } from './arena.ts'
import type { Contestant, Figures, Setting } from './contestant.ts'
import type { ContestantProcessOptions } from './contestant-process.ts'
import { loadContestant } from './contestants.ts'
import { compiled, fromSource } from './programs.ts'
import { perSecond } from './statistics.ts'
import { type Done, timed } from './timed.ts'

/** One run of one contestant. */
export interface Sample {
  readonly rows: number
  readonly ms: number
  /** CPU of the contestant's process during the run */
  readonly nodeCpuMs: number
  /** CPU of the server's processes during the run */
  readonly serverCpuMs?: number | undefined
  readonly walBytes?: number | undefined
  readonly deadVersions?: number | undefined
  readonly rssBytes?: number | undefined
  readonly figures: Figures
}

export interface Entrant extends Pick<Contestant, 'title' | 'role' | 'guarantee' | 'tuning'> {
  readonly name: string
  readonly samples: readonly Sample[]
}

/** A contestant under settings of its own, to be measured beside itself under others. */
export interface Variant {
  readonly name: string
  readonly title: string
  /** its name */
  readonly contestant: string
  readonly setting: Partial<Omit<Setting, 'url'>>
  /** those of one name begin with copies of the same database; default the variant's own name */
  readonly database?: string
  /** flags of Node itself, for those in a process of their own */
  readonly nodeArguments?: readonly string[]
}

export interface RaceOptions {
  readonly arena: Arena
  /** names of contestants, or variants of them */
  readonly contestants: readonly (string | Variant)[]
  readonly setting: Omit<Setting, 'url'>
  readonly rounds: number
  /** whether each contestant has a process of its own; without one it is quicker to start, and measures nothing */
  readonly isIsolated: boolean
  readonly note: (line: string) => void
}

const slowestMs = 30 * 60_000

/** Every round, every contestant runs once, in a process of its own; who begins changes from round to round. */
export async function race(options: RaceOptions): Promise<readonly Entrant[]> {
  const { arena, contestants, setting, rounds, isIsolated, note } = options
  const entrants = await Promise.all(contestants.map((one) => starter(one, setting)))
  for (let round = 0; round < rounds; round++) {
    const turn = round % entrants.length
    for (const entrant of [...entrants.slice(turn), ...entrants.slice(0, turn)]) {
      const run = isIsolated ? runInChild : runHere
      const sample = await run(arena, entrant)
      entrant.samples.push(sample)
      const rate = perSecond(sample)
      note(`round ${round + 1}, ${entrant.title}: ${rate === undefined ? 'done' : `${Math.round(rate)} rows/s`}`)
    }
  }
  return entrants.map(({ name, title, contestant: { role, guarantee, tuning }, samples }) => ({
    name,
    title,
    role,
    guarantee,
    tuning,
    samples,
  }))
}

interface Starter {
  readonly name: string
  readonly title: string
  readonly contestant: Contestant
  readonly contestantName: string
  readonly setting: Omit<Setting, 'url'>
  /** names the state that it begins with */
  readonly database: string
  readonly nodeArguments: readonly string[]
  readonly samples: Sample[]
}

async function starter(one: string | Variant, common: Omit<Setting, 'url'>): Promise<Starter> {
  const contestantName = typeof one === 'string' ? one : one.contestant
  const contestant = await loadContestant(contestantName)
  const variant: Variant =
    typeof one === 'string' ? { name: one, title: contestant.title, contestant: one, setting: {} } : one
  const { name, title, setting, database, nodeArguments = [] } = variant
  const given = { ...common, ...setting }
  const rows = Math.min(given.rows, Math.max(1, Math.round(given.rows * (contestant.share ?? 1))))
  return {
    name,
    title,
    contestant,
    contestantName,
    setting: { ...given, rows },
    database: database ?? `${name} ${rows}`,
    nodeArguments,
    samples: [],
  }
}

type Run = (arena: Arena, starter: Starter) => Promise<Sample>

const runInChild: Run = async (arena, { contestantName: name, setting, database, nodeArguments }) => {
  await using place = await arena.place(database, async (url) => {
    await using child = await start({ name, step: 'prepare', setting: { ...setting, url } })
    const { code } = await child.exit
    if (code !== 0) throw new Error(`${name} could not prepare:\n${child.output()}`)
  })
  const { done, server, left, meter } = await timedInChild(arena, place, { name, setting, nodeArguments })
  return sampleOf(name, setting, { done, server, left, deadVersions: await meter.deadVersions() })
}

const runHere: Run = async (arena, { name, contestant, setting, database }) => {
  await using place = await arena.place(database, async (url) => contestant.prepare?.({ ...setting, url }))
  await using work = await contestant.open({ ...setting, url: place.url })
  const meter = await arena.meter(place)
  const done = await timed(work)
  return sampleOf(name, setting, { done, server: await meter.read(), left: await work.left(), deadVersions: undefined })
}

function sampleOf(
  name: string,
  { rows }: Omit<Setting, 'url'>,
  {
    done,
    server,
    left,
    deadVersions,
  }: { done: Done; server: ServerFigures; left: number; deadVersions?: number | undefined },
): Sample {
  if (left !== 0) throw new Error(`${name} left ${left} of ${rows} rows`)
  const { ms, cpuMs: nodeCpuMs, rssBytes, figures } = done
  return { rows, ms, nodeCpuMs, serverCpuMs: server.cpuMs, walBytes: server.walBytes, deadVersions, rssBytes, figures }
}

async function timedInChild(
  arena: Arena,
  place: Place,
  { name, setting, nodeArguments }: Pick<Starter, 'name' | 'setting' | 'nodeArguments'>,
) {
  await using child = await start({ name, step: 'run', setting: { ...setting, url: place.url } }, nodeArguments)
  await child.next(isKind('ready'), slowestMs)
  const meter = await arena.meter(place)
  child.send('go')
  // as: written by `contestant-process.ts`
  const done = (await child.next(isKind('done'), slowestMs)) as Done
  const server = await meter.read()
  child.send('close')
  const { left } = (await child.next(isKind('closed'), slowestMs)) as { readonly left: number }
  await child.exit
  return { done, server, left, meter }
}

async function start(options: ContestantProcessOptions, nodeArguments: readonly string[] = []): Promise<NodeChild> {
  const program = options.name.startsWith('profile/') ? fromSource : compiled
  return spawnNode(await program('contestant-process'), [JSON.stringify(options)], { nodeArguments })
}

function isKind(kind: string): (message: unknown) => boolean {
  return (message) => typeof message === 'object' && message !== null && 'kind' in message && message.kind === kind
}
