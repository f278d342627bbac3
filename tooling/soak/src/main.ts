import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { growthPerHour } from './growth.ts'
import { chartOf, pageOf } from './page.ts'
import { soak } from './soak.ts'

const usage = `pnpm soak [--minutes N] [--store postgres|sqlite] [--publisher redis|nats] [--entries-per-second N] [--out FOLDER]
  --minutes 60              how long the load and the troubles last
  --store postgres          where the outbox is
  --publisher redis         where its entries go
  --entries-per-second 200  by all producers together
  --out docs                where soak.md and soak.svg are written`

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    store: { type: 'string', default: 'postgres' },
    publisher: { type: 'string', default: 'redis' },
    'entries-per-second': { type: 'string', default: '200' },
    out: { type: 'string', default: fileURLToPath(new URL('../../../docs', import.meta.url)) },
    help: { type: 'boolean', default: false },
  },
})
const { store, publisher } = values
const minutes = Number(values.minutes)
const entriesPerSecond = Number(values['entries-per-second'])
const isKnown = (store === 'postgres' || store === 'sqlite') && (publisher === 'redis' || publisher === 'nats')
if (values.help || !isKnown || !(minutes > 0) || !(entriesPerSecond > 0)) {
  process.stderr.write(`${usage}\n`)
  process.exit(values.help ? 0 : 2)
}

const result = await soak({
  store,
  publisher,
  minutes,
  entriesPerSecond,
  sampleEveryMs: 2_000,
  calmMs: 8_000,
  keepMs: 30_000,
})
await writeFile(join(values.out, 'soak.svg'), chartOf(result))
await writeFile(join(values.out, 'soak.md'), pageOf(result, 'soak.svg'))
const growth = growthPerHour(result.samples, 'rssBytes')
process.stdout.write(
  `${result.audit.entries} entries, ${result.marks.length} troubles, RSS ${growth?.toFixed(1)} MB an hour: ${
    result.faults.length === 0 ? 'nothing is wrong' : result.faults.join('; ')
  }\n`,
)
process.exit(result.faults.length === 0 ? 0 : 1)
