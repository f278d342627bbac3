import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'

/**
 * PGlite, which belongs to one process, served to the others over PostgreSQL's protocol.
 *
 * It has one session. So a connection has it from its first message until PGlite is ready again outside a transaction;
 * the others wait for their turn.
 */
export async function serveEmbeddedPostgres(directory: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const database = await PGlite.create(join(directory, 'pgdata'))
  const session = new Session(database)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    void new Connection(socket, session).run()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await database.close()
    },
  }
}

/** PGlite's one session, lent to one connection at a time. */
class Session {
  readonly #database: PGlite
  #turn: Promise<unknown> = Promise.resolve()

  constructor(database: PGlite) {
    this.#database = database
  }

  /** Resolves, when it is the caller's turn, with the function that ends it. */
  async acquire(): Promise<() => void> {
    const before = this.#turn
    let release = (): void => undefined
    this.#turn = new Promise<void>((resolve) => {
      release = resolve
    })
    await before
    return release
  }

  answer(message: Uint8Array): Promise<Uint8Array> {
    return this.#database.execProtocolRaw(message)
  }
}

const sslRequest = 80_877_103
const idle = 'I'.charCodeAt(0)
const readyForQuery = 'Z'.charCodeAt(0)
const [query, sync, terminate] = ['Q', 'S', 'X'].map((letter) => letter.charCodeAt(0))

/** One client: its messages go to the session in whole exchanges, each ended by a query or a sync. */
class Connection {
  readonly #socket: Socket
  readonly #session: Session
  #received = Buffer.alloc(0)
  #hasStarted = false
  #exchange: Uint8Array[] = []
  #release: (() => void) | undefined

  constructor(socket: Socket, session: Session) {
    this.#socket = socket
    this.#session = session
  }

  async run(): Promise<void> {
    try {
      for await (const chunk of this.#socket) {
        this.#received = Buffer.concat([this.#received, chunk])
        for (let message = this.#nextMessage(); message; message = this.#nextMessage()) await this.#take(message)
      }
    } catch {
      this.#socket.destroy() // the client is gone, killed perhaps: the demo does that
    } finally {
      if (this.#release) await this.#send([simpleQuery('rollback')])
    }
  }

  #nextMessage(): Buffer | undefined {
    const lengthAt = this.#hasStarted ? 1 : 0
    if (this.#received.length < lengthAt + 4) return undefined
    const end = lengthAt + this.#received.readInt32BE(lengthAt)
    if (this.#received.length < end) return undefined
    const message = this.#received.subarray(0, end)
    this.#received = this.#received.subarray(end)
    return message
  }

  async #take(message: Buffer): Promise<void> {
    if (!this.#hasStarted) this.#start(message)
    else if (message[0] === terminate) this.#socket.end()
    else {
      this.#exchange.push(message)
      if (message[0] !== query && message[0] !== sync) return
      const exchange = this.#exchange
      this.#exchange = []
      this.#socket.write(await this.#send(exchange))
    }
  }

  /** Anybody is let in; TLS is not spoken. */
  #start(message: Buffer): void {
    if (message.readInt32BE(4) === sslRequest) this.#socket.write('N')
    else {
      this.#hasStarted = true
      this.#socket.write(Buffer.concat([answerOf('R', [0, 0, 0, 0]), answerOf('Z', [idle])]))
    }
  }

  async #send(exchange: readonly Uint8Array[]): Promise<Uint8Array> {
    this.#release ??= await this.#session.acquire()
    const answers: Uint8Array[] = []
    for (const message of exchange) answers.push(await this.#session.answer(message))
    const answer = Buffer.concat(answers)
    if (answer.at(-6) === readyForQuery && answer.at(-1) === idle) {
      this.#release()
      this.#release = undefined
    }
    return answer
  }
}

function answerOf(kind: string, body: readonly number[]): Buffer {
  return Buffer.from([kind.charCodeAt(0), 0, 0, 0, body.length + 4, ...body])
}

function simpleQuery(text: string): Uint8Array {
  const body = Buffer.from(`${text}\0`)
  const head = Buffer.from('Q\0\0\0\0')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
