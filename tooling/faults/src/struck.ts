import type { TcpProxy } from '@outbox/services'
import type { Lab } from './lab.ts'

/** That relays have told at least one of these. */
export function tells(...kinds: readonly string[]): (lab: Lab) => boolean {
  return (lab) => kinds.some((kind) => lab.told(kind).length > 0)
}

/** Breaks a connection that is in use. */
export function strike(proxy: TcpProxy, breakIt: (proxy: TcpProxy) => void): void {
  if (proxy.connections === 0) throw new Error('nothing goes through the proxy that is to be broken')
  breakIt(proxy)
}
