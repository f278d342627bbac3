import { parseArgs } from 'node:util'
import { runSteps } from './report.ts'
import { steps } from './steps.ts'

const { values } = parseArgs({ options: { only: { type: 'string', multiple: true } } })
const unknown = values.only?.filter((name) => !steps.some((step) => step.name === name)) ?? []
if (unknown.length > 0) {
  console.error(`no step ${unknown.join(', ')}; there is ${steps.map((step) => step.name).join(', ')}`)
  process.exit(2)
}
await runSteps(steps.filter((step) => values.only?.includes(step.name) ?? true))
