import type { ReceivedEntry } from '@outbox/core/wire'
import type { BrokerKind } from '@outbox/end-to-end/brokers'
import type { StoreName } from '@outbox/end-to-end/stores'
import { brokerFaults } from './faults/broker.ts'
import { clockFaults } from './faults/clocks.ts'
import { databaseFaults } from './faults/database.ts'
import { processFaults } from './faults/processes.ts'
import type { Lab, LabOptions } from './lab.ts'
import type { Notes } from './notes.ts'

/** One way in which things go wrong. */
export interface Fault {
  readonly name: string
  /** in a sentence, for the table */
  readonly what: string
  /** default: every pair */
  readonly suits?: (store: StoreName, publisher: BrokerKind) => boolean
  /** false: this machine lacks what it needs; default true */
  readonly isPossible?: boolean
  /** why it does not suit the others */
  readonly because?: string
  readonly lab?: (publisher: BrokerKind) => Partial<LabOptions>
  /** nothing may arrive twice */
  readonly isClean?: boolean
  /** dead letters that there must be in the end, each after refusals or deaths; default none, and no refusal either */
  readonly deadLetters?: number
  /** processes end themselves by SIGKILL */
  readonly isDeadly?: boolean
  /** whether anything shows, when all is over, that the fault struck; default: `inflict` has seen to that */
  readonly struck?: (lab: Lab, stream: readonly ReceivedEntry[]) => boolean
  /** breaks things and mends them, and lets `notes` time each recovery; `rounds`: how often, where that has a meaning */
  readonly inflict: (lab: Lab, notes: Notes, rounds: number) => Promise<void>
}

export const faults: readonly Fault[] = [...processFaults, ...clockFaults, ...databaseFaults, ...brokerFaults]
