import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { firstAnswer } from '../src/first-answer.ts'
import { describeWith, spawnNode, waitFor } from '../src/index.ts'
import { signalAll } from '../src/process-tree.ts'

const owner = fileURLToPath(new URL('children/server-owner.ts', import.meta.url))

interface Server {
  readonly port: number
  readonly directory: string
}

describeWith({ own: 'redis' }, 'the watchdog', () => {
  it('ends the server and removes its folder when the test process is killed', async () => {
    await using child = spawnNode(owner)
    const { port, directory } = (await child.next()) as Server
    expect(await firstAnswer(port, 'PING\r\n')).toBe('+PONG\r\n')
    expect(existsSync(directory)).toBe(true)
    // only the process itself: its server has to be ended by the watchdog
    signalAll([child.pid], 'SIGKILL')
    await child.exit
    await waitFor(async () => (await firstAnswer(port, 'PING\r\n')) === undefined, { what: 'the server to end' })
    await waitFor(() => !existsSync(directory), { what: 'the folder to go' })
  })
})
