import { join } from 'node:path'
import { compilation } from '@outbox/services/compiled'
import { build } from 'esbuild'

type Program = 'contestant-process' | 'relay-process'

const programs: readonly Program[] = ['contestant-process', 'relay-process']
const output = join(import.meta.dirname, '../dist')
let compiling: Promise<unknown> | undefined

/** The program as a user would run it, in JavaScript: from its sources, the stripping of types would be measured too. */
export async function compiled(program: Program): Promise<string> {
  compiling ??= build({
    ...compilation,
    entryPoints: programs.map((name) => join(import.meta.dirname, `${name}.ts`)),
    outdir: output,
  })
  await compiling
  return join(output, `${program}.js`)
}

/** The program from its sources: a profile tells packages apart by where those stand. */
export function fromSource(program: Program): string {
  return join(import.meta.dirname, `${program}.ts`)
}
