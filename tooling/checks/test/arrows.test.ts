import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { checkArrows } from '../src/arrows.ts'
import type { WorkspacePackage } from '../src/workspace.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'outbox-arrows-'))
  mkdirSync(join(directory, 'src'))
})
afterEach(() => rmSync(directory, { recursive: true }))

/** a package in a folder that the root tsconfig.json builds */
function packageWith(source: string, manifest: Partial<WorkspacePackage> = {}): readonly WorkspacePackage[] {
  writeFileSync(join(directory, 'src/index.ts'), source)
  const named = { name: '@outbox/redis', folder: 'redis', dependencies: [], peers: [], entryPoints: [] }
  return [{ ...named, directory, ...manifest }]
}

it('an adapter may use core, and bring peers', () => {
  const packages = packageWith(`import { event } from '@outbox/core'`, {
    dependencies: ['@outbox/core'],
    peers: ['ioredis'],
  })
  expect(() => checkArrows(packages)).not.toThrow()
})

it('nobody imports the relay, nor another adapter', () => {
  expect(() => checkArrows(packageWith(`import { createRelay } from '@outbox/relay'`))).toThrow('imports @outbox/relay')
  expect(() => checkArrows(packageWith(`export * from '@outbox/drizzle/pg'`))).toThrow('imports @outbox/drizzle')
  expect(() => checkArrows(packageWith(`await import('@outbox/nats')`))).toThrow('imports @outbox/nats')
})

it('core uses nothing', () => {
  const core = { name: '@outbox/core', folder: 'core' }
  expect(() => checkArrows(packageWith('', { ...core, dependencies: ['uuid'] }))).toThrow('depends on uuid')
  expect(() => checkArrows(packageWith(`import '@outbox/memory'`, core))).toThrow('imports @outbox/memory')
})

it('an example in a comment is no import', () => {
  expect(() => checkArrows(packageWith(`/**\n * import { createRelay } from '@outbox/relay'\n */`))).not.toThrow()
})

it('a package that the root does not build is noticed', () => {
  expect(() => checkArrows(packageWith('', { folder: 'unheard-of' }))).toThrow('lack packages/unheard-of')
})
