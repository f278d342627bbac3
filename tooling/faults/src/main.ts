import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type Case, casesOf, sliceOf } from './choose.ts'
import { faults } from './faults.ts'
import { withFigures } from './page.ts'
import { isDone, merged, readResults, writeResults } from './record.ts'
import { failed, type Result, runFault } from './run.ts'
import { tableOf } from './table.ts'

const usage = `pnpm faults [--store NAME] [--publisher redis|nats] [--fault NAME] [--slice] [--rounds N] [--json FILE] [--resume FILE] [--minutes N] [--list]
  --store, --publisher, --fault   may be repeated; default: all of them, every pair under every fault
  --slice                         of these, so few that each store, broker and fault is there once
  --rounds N                      how often a fault is inflicted, where that has a meaning; default 5, in a slice 2
  --json FILE                     writes all figures there, after each run
  --resume FILE                   the same, and passes over what stands there already and was right
  --minutes N                     begins no run after so many minutes; the rest waits for --resume
  --list                          only lists the faults
pnpm faults --page FILE…          merges files of figures into docs/faults.json, and writes them into docs/faults.md`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    store: { type: 'string', multiple: true },
    publisher: { type: 'string', multiple: true },
    fault: { type: 'string', multiple: true },
    slice: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    json: { type: 'string' },
    resume: { type: 'string' },
    minutes: { type: 'string', default: 'Infinity' },
    page: { type: 'boolean' },
    list: { type: 'boolean' },
    help: { type: 'boolean' },
  },
})
if (values.help || values.list) {
  print(values.help ? usage : faults.map(({ name, what }) => `${name.padEnd(22)} ${what}`).join('\n'))
  process.exit(0)
}
if (values.page) {
  await writePage(positionals)
  process.exit(0)
}
const rounds = Number(values.rounds ?? (values.slice ? '2' : '5'))
const minutes = Number(values.minutes)
const file = values.resume ?? values.json
const before = values.resume === undefined ? [] : await readResults(values.resume)
const possible = casesOf(values).filter(({ fault: { isPossible = true } }) => isPossible)
const impossible = faults.filter(({ name, isPossible = true }) => !isPossible && (values.fault?.includes(name) ?? true))
const wanted = values.slice ? sliceOf(possible) : possible
if (wanted.length === 0 || positionals.length > 0 || !Number.isSafeInteger(rounds) || rounds < 1 || !(minutes > 0)) {
  process.stderr.write(`nothing to do\n${usage}\n`)
  process.exit(2)
}

const chosen = wanted.filter(({ store, publisher, fault }) => !isDone(before, { store, publisher, fault: fault.name }))
const isCi = process.env['CI'] === 'true'
for (const { name } of impossible)
  print(`${name} is ${isCi ? 'BROKEN' : 'left out'}: it needs libfaketime (apt-get install faketime)`)
const began = performance.now()
const results: Result[] = []
let broken = isCi ? impossible.length : 0
let left = chosen.length
for (const one of chosen) {
  if (performance.now() - began > minutes * 60_000) break
  const from = performance.now()
  const wrong = await run(one)
  if (wrong.length > 0) broken += 1
  left -= 1
  const seconds = ((performance.now() - from) / 1_000).toFixed(0)
  const title = `${one.store} → ${one.publisher}, ${one.fault.name}, ${seconds} s`
  print(`${title}: ${wrong.length === 0 ? 'ok' : `BROKEN: ${wrong.join('; ')}`}`)
  if (file !== undefined) await writeResults(file, merged(before, results))
}
const sum = (figure: (result: Result) => number): number => results.reduce((all, result) => all + figure(result), 0)
const done = chosen.length - left
print(`
${tableOf(results)}

${sum(({ injected }) => injected)} faults, ${sum(({ kills }) => kills)} SIGKILLs; ${broken} of ${done + (isCi ? impossible.length : 0)} runs broken
${wanted.length - chosen.length} stood there before, ${left} left; ${((performance.now() - began) / 60_000).toFixed(1)} minutes`)
process.exit(broken === 0 ? 0 : 1)

/** @returns what is wrong */
async function run({ store, publisher, fault }: Case): Promise<readonly string[]> {
  try {
    const result = await runFault(store, publisher, fault, rounds)
    results.push(result)
    return result.wrong
  } catch (error) {
    const result = failed(store, publisher, fault, error instanceof Error ? error.message : String(error))
    results.push(result)
    return result.wrong
  }
}

async function writePage(files: readonly string[]): Promise<void> {
  const page = new URL('../../../docs/faults.md', import.meta.url)
  const figures = new URL('../../../docs/faults.json', import.meta.url).pathname
  const all = merged(...(await Promise.all((files.length === 0 ? [figures] : files).map(readResults))))
  await writeResults(figures, all)
  await writeFile(page, withFigures(await readFile(page, 'utf8'), all))
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
