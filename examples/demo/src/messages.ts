/*
 * What the processes of the demo tell each other. Messages rather than signals: on Windows a SIGTERM only kills.
 */

/** `stop`: finish what is in hand, and end. */
export type ToRelay = 'stop'

/** `working`: it has published something. `interrupted`: it has lost leases with batches in hand. */
export type FromRelay = 'working' | 'interrupted'

/** how many relays have been killed so far */
export type ToProducer = number

/** ids of the changes whose transactions have ended well since the last message */
export type FromProducer = readonly string[]
