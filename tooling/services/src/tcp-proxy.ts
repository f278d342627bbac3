import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** What the proxy does with the bytes of one direction. */
type Flow = 'pass' | 'hold' | 'drop'

/** A proxy before a server, for tests of broken networks. */
export interface TcpProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** The given URL with the proxy's host and port in place of the server's. */
  through(url: string): string
  /** connections open now */
  readonly connections: number
  /** bytes that clients have sent so far, also those that went nowhere */
  readonly bytesFromClients: number
  /** Ends every connection in an orderly way; new ones are welcome. */
  cut(): void
  /** Breaks every connection with a reset; new ones are welcome. */
  reset(): void
  /** Turns new connections away, by a reset, and breaks those that are open. */
  refuse(): void
  /** Keeps connections open and lets nothing through; `heal` delivers what was held. */
  hold(): void
  /** Lets requests reach the server and holds its answers; `heal` delivers them. */
  holdAnswers(): void
  /** Keeps connections open and throws away all that is sent, both ways; those there are never pass anything again. */
  blackHole(): void
  /** Delays every piece of data by so many milliseconds, each way. */
  delay(delayMs: number): void
  /** Lets everything through again, what was held or delayed first; but connections that were in a black hole stay there. */
  heal(): void
}

interface Pipe {
  readonly client: Socket
  readonly server: Socket
  /** in a black hole */
  isLost: boolean
  /** delivers what is held, in order */
  flush(): void
}

/** Starts a proxy on a free port of 127.0.0.1, before the host and port of `url`. */
export async function startTcpProxy(url: string): Promise<TcpProxy> {
  const target = new URL(url)
  const pipes = new Set<Pipe>()
  let requests: Flow = 'pass'
  let answers: Flow = 'pass'
  let delayMs = 0
  let refuses = false
  let bytesFromClients = 0

  const listener = createServer((client) => {
    if (refuses) {
      client.on('error', () => client.destroy())
      client.resetAndDestroy()
      return
    }
    const server = connect({ host: target.hostname, port: Number(target.port) })
    client.on('data', (data) => {
      bytesFromClients += data.length
    })
    const flushRequests = forward(client, server, () => ({ flow: pipe.isLost ? 'drop' : requests, delayMs }))
    const flushAnswers = forward(server, client, () => ({ flow: pipe.isLost ? 'drop' : answers, delayMs }))
    const pipe: Pipe = {
      client,
      server,
      isLost: requests === 'drop',
      flush: () => {
        flushRequests()
        flushAnswers()
      },
    }
    pipes.add(pipe)
    client.once('close', () => pipes.delete(pipe))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = portOf(listener.address())

  const endAll = (how: (socket: Socket) => void): void => {
    for (const { client, server } of [...pipes]) {
      how(client)
      server.destroy()
    }
  }
  const set = (nextRequests: Flow, nextAnswers: Flow): void => {
    requests = nextRequests
    answers = nextAnswers
  }
  return {
    host: '127.0.0.1',
    port,
    through: (original) => {
      const address = new URL(original)
      address.hostname = '127.0.0.1'
      address.port = String(port)
      return address.href
    },
    get connections() {
      return pipes.size
    },
    get bytesFromClients() {
      return bytesFromClients
    },
    cut: () => endAll((client) => client.end()),
    reset: () => endAll((client) => client.resetAndDestroy()),
    refuse: () => {
      refuses = true
      endAll((client) => client.resetAndDestroy())
    },
    hold: () => set('hold', 'hold'),
    holdAnswers: () => set('pass', 'hold'),
    blackHole: () => {
      set('drop', 'drop')
      for (const pipe of pipes) pipe.isLost = true
    },
    delay: (milliseconds) => {
      delayMs = milliseconds
    },
    heal: () => {
      refuses = false
      delayMs = 0
      set('pass', 'pass')
      for (const pipe of pipes) pipe.flush()
    },
    [Symbol.asyncDispose]: async () => {
      listener.close()
      endAll((client) => client.destroy())
      if (listener.listening) await once(listener, 'close')
    },
  }
}

/** Moves data and the end of it from one socket to another, in order; returns what delivers all that waits. */
function forward(from: Socket, to: Socket, now: () => { readonly flow: Flow; readonly delayMs: number }): () => void {
  const waiting: { readonly deliver: () => void; dueAt: number }[] = []
  let timer: ReturnType<typeof setTimeout> | undefined
  const deliverDue = (): void => {
    clearTimeout(timer)
    while (waiting[0] && waiting[0].dueAt <= performance.now()) waiting.shift()?.deliver()
    const [next] = waiting
    if (next && next.dueAt !== held) timer = setTimeout(deliverDue, Math.max(0, next.dueAt - performance.now()))
  }
  const take = (deliver: () => void): void => {
    const { flow, delayMs } = now()
    if (flow === 'drop') return
    // what comes after something that waits goes behind it: a connection keeps the order of its bytes
    waiting.push({ deliver, dueAt: flow === 'hold' ? held : performance.now() + delayMs })
    deliverDue()
  }
  from.on('data', (data) => take(() => void to.write(data)))
  from.on('end', () => take(() => void to.end()))
  // broken on one side is broken on the other
  from.on('error', () => to.destroy())
  from.on('close', () => to.destroySoon())
  return () => {
    for (const one of waiting) one.dueAt = 0
    deliverDue()
  }
}

/** until it is healed */
const held = Number.POSITIVE_INFINITY

function portOf(address: AddressInfo | string | null): AddressInfo {
  if (typeof address === 'object' && address !== null) return address
  throw new Error('the proxy has no port')
}
