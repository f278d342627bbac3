import { readFile } from 'node:fs/promises'
import { memoryOutbox, recordingPublisher } from '@outbox/memory'
import { describe, expect, test } from 'vitest'
import { relayEvents } from '../src/events.ts'
import { settingsFrom } from '../src/options.ts'

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8')
const settings = settingsFrom({ store: memoryOutbox(), publisher: recordingPublisher() })

/** First and second column of the table under a heading. */
function table(heading: string): ReadonlyMap<string, string> {
  const section = readme.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  return new Map(
    [...section.matchAll(/^\| `([\w.]+)` +\| ([^|]*?) *\|/gm)].map(([, name = '', text = '']) => [name, text]),
  )
}

describe('the README', () => {
  test('names every option, and the defaults as they are', () => {
    const { retry, ...others } = settings
    const defaults: Readonly<Record<string, unknown>> = {
      ...others,
      ...Object.fromEntries(Object.entries(retry).map(([name, value]) => [`retry.${name}`, value])),
    }
    const documented = table('Options')
    expect(new Set(documented.keys())).toEqual(new Set([...Object.keys(defaults), 'store', 'publisher', 'on']))
    for (const [name, value] of Object.entries(defaults)) {
      if (typeof value === 'number') expect([name, documented.get(name)]).toEqual([name, value.toLocaleString('en')])
    }
    expect(documented.get('onDead')).toBe(`\`'${settings.onDead}'\``)
  })

  test('names every event', () => {
    expect([...table('Events').keys()]).toEqual(Object.keys(relayEvents))
  })
})
