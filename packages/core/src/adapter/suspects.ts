/**
 * An entry that a relay died with so often may be what killed it, and is lent alone.
 *
 * One death says little: a relay that is killed from outside has a whole batch in hand.
 */
export const suspectAt = 2
