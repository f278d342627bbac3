import type { Application } from './application.ts'
import { eventWriter } from './content.ts'

const write = eventWriter()
const aggregates = Array.from({ length: 12 }, (_, index) => `order-${index}`)

/** entries that one turn commits */
export const entriesPerTurn: number = aggregates.length

/** One transaction that commits an event of every order, and one that rolls the same back. */
export async function writeTurn(application: Application, turn: number): Promise<void> {
  const changes = () => aggregates.map((aggregateId) => write(aggregateId, 'order.changed', { turn }))
  await application.commit(...changes())
  const changedMind = new Error('changed its mind')
  await application
    .write(changes(), () => {
      throw changedMind
    })
    .catch((error: unknown) => {
      if (error !== changedMind) throw error
    })
}
