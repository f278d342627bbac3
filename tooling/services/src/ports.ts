import getPort, { portNumbers } from 'get-port'

/** Below the range that systems hand to outgoing connections, so that a port stays free while its server is down. */
const lowest = 20_000
const highest = 31_999

/** A free TCP port of 127.0.0.1, not given again by this process. */
export function freePort(): Promise<number> {
  const start = lowest + Math.floor(Math.random() * (highest - lowest))
  return getPort({ host: '127.0.0.1', port: portNumbers(start, highest + 1000), reserve: true })
}
