import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { machine } from './machine.ts'
import { printed, printedGoal, tableOf } from './report.ts'
import type { Results } from './results.ts'
import { smoke } from './scenario.ts'
import { scenarios } from './scenarios.ts'

const usage = `pnpm bench [NAME…] [--rounds N] [--scale F] [--smoke] [--json FILE] [--page FILE]

  NAME      ${Object.keys(scenarios).join(', ')}; default all
  --rounds  how often each contestant runs, default 3
  --scale   of the rows, default 1
  --smoke   one round of very few rows: shows that it runs, measures nothing
  --json    writes the figures; scenarios that the file already has and that are not run now stay in it
  --page    writes docs/benchmarks.md from the figures of a file, and runs nothing`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    smoke: { type: 'boolean', default: false },
    json: { type: 'string' },
    page: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const note = (line: string): void => console.error(`  ${line}`)

if (values.help) console.log(usage)
else if (values.page !== undefined) {
  const { writePage } = await import('./pages.ts')
  // as: written below
  await writePage(JSON.parse(await readFile(values.page, 'utf8')) as Results)
} else {
  const unknown = positionals.filter((name) => !Object.hasOwn(scenarios, name))
  if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}\n\n${usage}`)
  await measure(positionals)
}

async function measure(names: readonly string[]): Promise<void> {
  const options = values.smoke
    ? { ...smoke, note }
    : { rounds: Number(values.rounds), scale: Number(values.scale), isIsolated: true, note }
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (names.length > 0 && !names.includes(name)) continue
    console.log(`\n${scenario.title}: ${scenario.about}`)
    const heats = await scenario.run(options)
    const goals = scenario.goals(heats)
    for (const heat of heats) console.log(`\n${heat.title}\n  ${heat.setting}\n\n${printed(tableOf(heat))}`)
    console.log(`\n${goals.map(printedGoal).join('\n')}`)
    if (values.json !== undefined)
      await save(values.json, name, { measured: machine(), rounds: options.rounds, scale: options.scale, heats })
  }
}

async function save(file: string, name: string, result: Results[string]): Promise<void> {
  // as: written below; the first scenario makes the file
  const results = (existsSync(file) ? JSON.parse(await readFile(file, 'utf8')) : {}) as Results
  await writeFile(file, `${JSON.stringify({ ...results, [name]: result }, null, 2)}\n`)
}
