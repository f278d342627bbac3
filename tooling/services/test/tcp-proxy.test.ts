import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startTcpProxy, waitFor } from '../src/index.ts'

/** a server that says everything back, and remembers it */
async function startEcho() {
  const heard: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('data', (data) => {
      heard.push(data.toString())
      socket.write(data)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { url: `tcp://127.0.0.1:${port}`, heard, close }
}

describe('a proxy', () => {
  let echo: Awaited<ReturnType<typeof startEcho>>
  let proxy: Awaited<ReturnType<typeof startTcpProxy>>
  let client: Socket
  let received: string
  let closed: string | undefined

  beforeEach(async () => {
    echo = await startEcho()
    proxy = await startTcpProxy(echo.url)
    received = ''
    closed = undefined
    client = connect(proxy.port, proxy.host)
    client.on('data', (data) => {
      received += data.toString()
    })
    client.on('error', (error) => {
      closed = 'code' in error ? String(error.code) : error.message
    })
    client.on('close', () => {
      closed ??= 'end'
    })
    client.write('a')
    await waitFor(() => received === 'a', { what: 'the first answer' })
  })
  afterEach(async () => {
    client.destroy()
    await proxy[Symbol.asyncDispose]()
    echo.close()
  })

  it('stands in for the server in its URL', () => {
    expect(proxy.through('redis://user:word@10.0.0.1:1234/5')).toBe(`redis://user:word@127.0.0.1:${proxy.port}/5`)
  })

  it('ends connections when cut, and takes new ones', async () => {
    proxy.cut()
    await waitFor(() => closed === 'end', { what: 'the end' })
    const next = connect(proxy.port, proxy.host)
    next.write('b')
    const [answer] = await once(next, 'data')
    expect(String(answer)).toBe('b')
    next.destroy()
  })

  it('breaks connections when reset', async () => {
    proxy.reset()
    await waitFor(() => closed === 'ECONNRESET', { what: 'the reset' })
  })

  it('turns new connections away when it refuses, until it is healed', async () => {
    proxy.refuse()
    const refused = connect(proxy.port, proxy.host)
    await expect(once(refused, 'data')).rejects.toThrow('ECONNRESET')
    proxy.heal()
    const next = connect(proxy.port, proxy.host)
    next.write('b')
    expect(String((await once(next, 'data'))[0])).toBe('b')
    next.destroy()
  })

  it('holds requests, and delivers them in order when healed', async () => {
    proxy.hold()
    client.write('b')
    await waitFor(() => proxy.bytesFromClients === 2, { what: 'the request to reach the proxy' })
    expect(echo.heard.join('')).toBe('a')
    proxy.heal()
    client.write('c')
    await waitFor(() => received === 'abc', { what: 'what was held' })
  })

  it('lets requests through and holds the answers', async () => {
    proxy.holdAnswers()
    client.write('b')
    await waitFor(() => echo.heard.join('') === 'ab', { what: 'the request' })
    expect(received).toBe('a')
    proxy.heal()
    await waitFor(() => received === 'ab', { what: 'the answer' })
  })

  it('loses what falls into a black hole, and the connection with it', async () => {
    proxy.blackHole()
    client.write('b')
    await waitFor(() => proxy.bytesFromClients === 2, { what: 'the request to reach the proxy' })
    proxy.heal()
    client.write('c')
    await waitFor(() => proxy.bytesFromClients === 3, { what: 'the next request to reach the proxy' })
    const another = connect({ host: proxy.host, port: proxy.port })
    another.write('d')
    await once(another, 'data')
    another.destroy()
    expect(echo.heard.join('')).toBe('ad')
    expect(received).toBe('a')
  })

  it('delays data, each way', async () => {
    proxy.delay(50)
    const start = performance.now()
    client.write('b')
    await waitFor(() => received === 'ab', { what: 'the late answer', intervalMs: 1 })
    expect(performance.now() - start).toBeGreaterThanOrEqual(99)
  })

  it.each(['delay', 'heal'] as const)('keeps the order of data when the delay ends (%s)', async (end) => {
    proxy.delay(50)
    client.write('b')
    await waitFor(() => proxy.bytesFromClients === 2, { what: 'the proxy to have it', intervalMs: 1 })
    if (end === 'delay') proxy.delay(0)
    else proxy.heal()
    client.write('c')
    await waitFor(() => received.length === 3, { what: 'both', intervalMs: 1 })
    expect(received).toBe('abc')
  })
})
