/** `true`, or why a store cannot do it, or promises it to nobody. */
type Capability = true | { readonly leftOut: string }

/** What decides how a history runs, and how strictly it is compared. The first three as in `@outbox/conformance`. */
export interface Capabilities {
  /** Two transactions can be open at once. Left out: no history has an open transaction beside other steps. */
  readonly concurrentTransactions: Capability
  /** Who needs what an open transaction writes waits for its end. Left out: it is told `busy` at once. */
  readonly waitsForWriters: Capability
  /**
   * A purge deletes all that has ended. Left out: it may spare some while anything is lent or open; what it may have
   * spared is not written again until it is gone for certain.
   */
  readonly purgesSingly: Capability
  /** A transaction sees what was purged since it began. Left out: what was purged meanwhile is not written again. */
  readonly seesPurges: Capability
  /**
   * A fetch lends all that is due and committed when it begins. Left out: it may end before what was committed since an
   * earlier fetch, as long as something is left of what that one saw.
   */
  readonly lendsTheNewest: Capability
  /**
   * Of two transactions that are open at once and number one aggregate themselves, the lower number is lent first once
   * both are committed. Left out: no two do.
   */
  readonly ordersUnseenNumbers: Capability
  /**
   * An aggregate waits for as long as was said last, of whichever of its entries. Left out: for as long as is said of any
   * of them; no retry is said of one when another of its aggregate was lent since.
   */
  readonly waitsByAggregate: Capability
}

export const allCapabilities: Capabilities = {
  concurrentTransactions: true,
  waitsForWriters: true,
  purgesSingly: true,
  seesPurges: true,
  lendsTheNewest: true,
  ordersUnseenNumbers: true,
  waitsByAggregate: true,
}
