import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { longest } from '../src/vitest-sequencer.ts'

test.each(longest)('%s, which begins first, is there', (file) => {
  const place = file.startsWith('bench/') ? '../../../' : '../../'
  expect(existsSync(new URL(place + file, import.meta.url))).toBe(true)
})
