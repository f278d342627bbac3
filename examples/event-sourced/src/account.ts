/** What can happen to an account. */
export interface AccountChange {
  readonly type: 'account.opened' | 'account.credited' | 'account.debited'
  readonly cents: number
}

/** An account as its changes made it. */
export interface Account {
  /** how many changes there were; 0 before it is opened */
  readonly version: number
  readonly balanceCents: number
}

export const unopened: Account = Object.freeze({ version: 0, balanceCents: 0 })

export function apply({ version, balanceCents }: Account, change: AccountChange): Account {
  const cents = change.type === 'account.debited' ? -change.cents : change.cents
  return { version: version + 1, balanceCents: balanceCents + cents }
}

export class Refused extends Error {}

// Decisions: what is to happen, given the account as it stands.

export function open(account: Account, cents: number): readonly AccountChange[] {
  if (account.version > 0) throw new Refused('it is open already')
  return [{ type: 'account.opened', cents }]
}

export function deposit(account: Account, cents: number): readonly AccountChange[] {
  if (account.version === 0) throw new Refused('it is not open')
  return [{ type: 'account.credited', cents }]
}

export function withdraw({ balanceCents }: Account, cents: number): readonly AccountChange[] {
  if (balanceCents < cents) throw new Refused(`it holds ${balanceCents} cents`)
  return [{ type: 'account.debited', cents }]
}
