import { createInterface } from 'node:readline'
import type { Setting } from './contestant.ts'
import { loadContestant } from './contestants.ts'
import { timed } from './timed.ts'

/** What this process is told, as JSON in its first argument. */
export interface ContestantProcessOptions {
  readonly name: string
  readonly step: 'prepare' | 'run'
  readonly setting: Setting
}

const tell = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

// as: written by `race.ts`
const { name, step, setting } = JSON.parse(process.argv[2] ?? '{}') as ContestantProcessOptions
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const contestant = await loadContestant(name)

if (step === 'prepare') {
  await contestant.prepare?.(setting)
} else {
  const startedMs = performance.now()
  const work = await contestant.open(setting)
  tell({ kind: 'ready', openMs: performance.now() - startedMs })
  await lines.next()
  tell({ kind: 'done', ...(await timed(work)) })
  await lines.next() // the server's figures are taken
  const left = await work.left()
  await work[Symbol.asyncDispose]()
  tell({ kind: 'closed', left })
}
process.exit(0)
