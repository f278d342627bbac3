import { connect } from 'node:net'

/**
 * Sends `greeting` to a port of 127.0.0.1 and returns the first piece of the answer as text.
 *
 * Undefined when nobody listens, the connection breaks, or no answer comes within a second.
 */
export function firstAnswer(port: number, greeting: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const finish = (answer: string | undefined) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1000, () => finish(undefined))
    // a refused connection is an answer to the question asked here
    socket.once('error', () => finish(undefined))
    socket.once('close', () => finish(undefined))
    socket.once('data', (data) => finish(data.toString('utf8')))
    if (greeting !== '') socket.write(greeting)
  })
}
