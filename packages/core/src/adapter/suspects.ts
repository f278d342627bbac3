/**
 * From this many crashes on, an entry may be what killed the relay: it is lent alone.
 *
 * One death says little: a relay that is killed from outside has a whole batch in hand.
 */
export const suspectAt = 2
