import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { Misuse, workFrom } from '../src/options.ts'

const half = (): number => 0.5
const misuse = (...args: readonly string[]): string => {
  try {
    return `taken: ${JSON.stringify(workFrom(args, half))}`
  } catch (error) {
    if (error instanceof Misuse) return error.message
    throw error
  }
}

describe('the command line of the simulation', () => {
  it('names a range, one seed, or nothing', () => {
    expect(workFrom(['--seeds', '3..5'], half)).toEqual({ from: 3, to: 5, minutes: undefined })
    expect(workFrom(['--seeds', '7'], half)).toEqual({ from: 7, to: 7, minutes: undefined })
    expect(workFrom([], half)).toEqual({ from: 1, to: 2_000, minutes: undefined })
    expect(workFrom(['--help'], half)).toBe('help')
  })

  it('begins where it is told to, or by chance, when it has minutes', () => {
    expect(workFrom(['--minutes', '0.5', '--from', '12'], half)).toMatchObject({ from: 12, minutes: 0.5 })
    const firsts = [0, 0.3, 0.999_999].map((random) => workFrom(['--minutes', '1'], () => random))
    expect(new Set(firsts.map((work) => (work === 'help' ? 0 : work.from))).size).toBe(3)
    for (const work of firsts) {
      if (work === 'help') throw new Error('nobody asked for help')
      expect(work.from).toBeGreaterThan(0)
      expect(work.to - work.from).toBeGreaterThan(1_000_000)
    }
  })

  it('refuses what would run nothing, or not what was meant', () => {
    expect(misuse('--seeds', '10..5')).toBe(
      '--seeds 10..5 is empty: the first seed is above the last. Did you mean 5..10?',
    )
    expect(misuse('--seeds', '1..2..3')).toContain('one range')
    expect(misuse('--seeds', '')).toContain('is no seed')
    expect(misuse('--seeds', '1..')).toContain('is no seed')
    expect(misuse('--seeds', '-1..5')).toContain('--seeds')
    expect(misuse('--seeds', '1..4294967297')).toContain('is no seed')
    expect(misuse('--minutes', '0')).toContain('above 0')
    expect(misuse('--minutes', 'soon')).toContain('above 0')
    expect(misuse('--minutes', '1', '--seeds', '1..5')).toContain('exclude each other')
    expect(misuse('--from', '5')).toContain('goes with --minutes')
    expect(misuse('--minutes', '1', '--from', 'x')).toContain('is no seed')
    expect(misuse('--sedes', '5')).toContain('--sedes')
  })
})

describe('the program', () => {
  it('ends with 2, and runs nothing, when it is asked for an empty range', async () => {
    const { code, stdout, stderr } = await simulate('--seeds', '10..5')
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^--seeds 10\.\.5 is empty/)
  })

  it('says in its last line what was run and what was found', { timeout: 120_000 }, async () => {
    const { code, stdout } = await simulate('--seeds', '3..4')
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^2 seeds, 3\.\.4, \d+ faults planned, .*: no promise broken$/)
  })

  it('says first where it begins when it has minutes, and runs one seed at least', { timeout: 120_000 }, async () => {
    const { code, stdout } = await simulate('--minutes', '1e-9', '--from', '40')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^from seed 40 on, for 1e-9 minutes\n1 seeds, 40\.\.40, .*: no promise broken\n$/)
  })
})

interface Ended {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program, as `pnpm simulate` does. */
function simulate(...args: readonly string[]): Promise<Ended> {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=@outbox/source', main, ...args], (error, stdout, stderr) =>
      resolve({ code: error ? error.code : 0, stdout, stderr }),
    )
  })
}
