/*
 * What the processes of the demo tell each other. Messages rather than signals: on Windows a SIGTERM only kills.
 */

/** `stop`: finish what is in hand, and end. */
export type ToRelay = 'stop'

/**
 * `busy`: it has entries in hand. `idle`: it has none any more. `interrupted`: it has lost leases with entries in hand.
 * `unanswered`: entries that the broker may have, though it did not say so in time.
 */
export type FromRelay = 'busy' | 'idle' | 'interrupted' | { readonly unanswered: readonly string[] }

/** how many kills have been due so far */
export type ToProducer = number

/** ids of the changes whose transactions have ended well since the last message */
export type FromProducer = readonly string[]
