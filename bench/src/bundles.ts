import { checkSizes } from '../../tooling/checks/src/sizes.ts'

/** What users ship of this project, minified and compressed. */
export interface Bundle {
  readonly what: string
  readonly bytes: number
}

/** The table of `pnpm check --only sizes`, whatever it thinks of the figures. */
export async function bundles(): Promise<readonly Bundle[]> {
  const table = await checkSizes().catch(({ message }: Error) => message)
  const lines = [...table.matchAll(/^(.+?) +(\d+) of +\d+ bytes/gm)]
  if (lines.length === 0) throw new Error(`no sizes:\n${table}`)
  return lines.map(([, what = '', bytes]) => ({ what, bytes: Number(bytes) }))
}
