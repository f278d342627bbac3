import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { findProgram } from '../src/installed.ts'
import { programOf } from '../src/program-of.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outbox-installed-'))
  vi.stubEnv('OUTBOX_SERVERS', join(folder, 'own'))
  vi.stubEnv('OUTBOX_SERVERS_ONLY', '')
  vi.stubEnv('PATH', `${join(folder, 'path')}:/bin:/usr/bin`)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

/** a program that only tells its version */
function install(where: 'own' | 'path', version: string): string {
  mkdirSync(join(folder, where))
  const path = join(folder, where, 'valkey-server')
  writeFileSync(path, `#!/bin/sh\necho 'Valkey server v=${version} sha=00000000:0 bits=64'\n`, { mode: 0o755 })
  return path
}

it('looks into the folder that OUTBOX_SERVERS names, then along PATH', () => {
  const onPath = install('path', '7.2.0')
  expect(findProgram('valkey')).toBe(onPath)
  const own = install('own', '9.1.2')
  expect(findProgram('valkey')).toBe(own)
  expect(findProgram('valkey', { version: 'distribution' })).toBe(onPath)
})

it('passes over versions that are too old', () => {
  install('own', '7.2.0')
  const onPath = install('path', '7.10.1')
  expect(findProgram('valkey', { atLeast: '7.9' })).toBe(onPath)
  expect(findProgram('valkey', { atLeast: '7.11' })).toBeUndefined()
  expect(() => programOf('valkey', { atLeast: '7.11' })).toThrow('No Valkey 7.11 or later on this machine: apt-get')
})

it('looks nowhere else when it is told to', () => {
  install('path', '7.2.0')
  vi.stubEnv('OUTBOX_SERVERS_ONLY', '1')
  expect(findProgram('valkey')).toBeUndefined()
})
