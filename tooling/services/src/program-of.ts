import { type ServiceName, services } from './catalogue.ts'
import { findProgram, type WhichVersion } from './installed.ts'

/**
 * The program of a service on this machine.
 *
 * @throws {Error} saying how to get it, if there is none
 */
export function programOf(name: ServiceName, which?: WhichVersion): string {
  const program = findProgram(name, which)
  if (program === undefined) {
    throw new Error(`No ${services[name].programs[0]} on this machine: ${services[name].howToGet}`)
  }
  return program
}
