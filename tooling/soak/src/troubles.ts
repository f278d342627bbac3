import { randomInt } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { type Lab, timing } from '@outbox/faults/lab'
import type { Notes } from '@outbox/faults/notes'
import { waitFor } from '@outbox/services'

/** One thing that goes wrong in a production some day. */
interface Trouble {
  readonly name: string
  readonly suits: (lab: Lab) => boolean
  readonly inflict: (lab: Lab, notes: Notes) => Promise<void>
}

const always = (): boolean => true
const hasServer = ({ database }: Lab): boolean => database.server !== undefined

const troubles: readonly Trouble[] = [
  { name: 'relay SIGKILL', suits: always, inflict: async (lab, notes) => notes.kill(lab, await lab.aRelay()) },
  {
    name: 'relay SIGSTOP',
    suits: always,
    async inflict(lab) {
      const relay = await lab.aRelay()
      relay.pause()
      await wait(2 * timing.leaseMs)
      relay.continue()
    },
  },
  {
    name: 'relay SIGTERM',
    suits: always,
    async inflict(lab) {
      lab.addRelay()
      // one that was killed before may be loading yet, and does not hear the signal: it would just end
      await waitFor(() => (lab.relays[0]?.messages.length ?? 0) > 0, { what: 'a relay to work', timeoutMs: 60_000 })
      await lab.removeRelay()
    },
  },
  { name: 'producer SIGKILL', suits: always, inflict: (lab, notes) => notes.kill(lab, lab.aProducer()) },
  { name: 'broker restart', suits: always, inflict: (lab) => lab.broker.restart() },
  {
    name: 'broker SIGKILL',
    suits: always,
    async inflict(lab, notes) {
      await notes.kill(lab, lab.broker)
      await lab.broker.restart()
    },
  },
  { name: 'broker connections cut', suits: always, inflict: async ({ brokerProxy }) => brokerProxy.reset() },
  { name: 'database restart', suits: hasServer, inflict: async ({ database }) => database.server?.restart() },
  {
    name: 'database SIGKILL',
    suits: hasServer,
    async inflict(lab, notes) {
      const { server } = lab.database
      if (!server) throw new Error('this store has no server')
      await notes.kill(lab, server)
      await server.restart()
    },
  },
  {
    name: 'database connections cut',
    suits: hasServer,
    inflict: async ({ databaseProxy }) => databaseProxy?.reset(),
  },
]

/** Inflicts one of them, by chance. @returns its name */
export async function inflictOne(lab: Lab, notes: Notes): Promise<string> {
  const possible = troubles.filter(({ suits }) => suits(lab))
  const trouble = possible[randomInt(possible.length)]
  if (trouble === undefined) throw new Error('nothing can go wrong here')
  await trouble.inflict(lab, notes)
  return trouble.name
}
