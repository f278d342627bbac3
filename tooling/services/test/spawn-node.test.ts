import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { spawnNode, waitFor } from '../src/index.ts'
import { stillRunning } from '../src/process-tree.ts'

const talker = fileURLToPath(new URL('children/talker.ts', import.meta.url))

it('runs TypeScript under Node 24 and reads its messages', async () => {
  await using child = spawnNode(talker, ['one', 'two'])
  expect(await child.next()).toEqual({ node: expect.stringMatching(/^(2[4-9]|[3-9]\d)\./), args: ['one', 'two'] })
  child.send({ hello: 1 })
  expect(await child.next()).toEqual({ heard: { hello: 1 } })
  expect(child.output()).toContain('not a message')
})

it('tells how the child ended', async () => {
  await using child = spawnNode(talker)
  child.send('end')
  expect(await child.exit).toEqual({ code: 3, signal: undefined })
})

it('fails a wait for a message when the child ends first, and shows its output', async () => {
  await using child = spawnNode(talker)
  child.send('end')
  await expect(child.next(() => false)).rejects.toThrow(/ended \(\{"code":3\}\)[\s\S]*not a message/)
})

it('kills the child, paused or not', async () => {
  await using child = spawnNode(talker)
  await child.next()
  child.pause()
  child.send('held')
  expect(await child.kill()).toEqual({ code: undefined, signal: 'SIGKILL' })
  expect(stillRunning([child.pid])).toEqual([])
  expect(child.messages).toHaveLength(1)
})

it('lets a paused child go on', async () => {
  await using child = spawnNode(talker)
  await child.next()
  child.pause()
  child.send('held')
  child.continue()
  expect(await child.next()).toEqual({ heard: 'held' })
})

it('passes over messages that are not wanted', async () => {
  await using child = spawnNode(talker)
  child.send(1)
  child.send(2)
  const wanted = await child.next((message) => JSON.stringify(message) === '{"heard":2}')
  expect(wanted).toEqual({ heard: 2 })
  await waitFor(() => child.messages.length === 3, { what: 'all messages' })
})
