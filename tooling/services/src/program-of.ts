import { type ServiceName, services } from './catalogue.ts'
import { findProgram, type Wanted } from './installed.ts'

/**
 * The program of a service on this machine.
 *
 * @throws {Error} saying how to get it, if there is none
 */
export function programOf(name: ServiceName, wanted?: Wanted): string {
  const program = findProgram(name, wanted)
  if (program === undefined) {
    const version = wanted?.atLeast === undefined ? '' : ` ${wanted.atLeast} or later`
    throw new Error(`No ${services[name].title}${version} on this machine: ${services[name].howToGet}`)
  }
  return program
}
