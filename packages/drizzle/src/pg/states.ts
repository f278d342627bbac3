/**
 * The states of an entry, as SQL writes them. `parked`: pending, but represented by its aggregate's row instead of
 * standing in the scan itself; only the store tells the two apart. The lists are written exactly as in the indexes'
 * predicates, which is what lets the planner use them.
 */
export const pendingStates: string = `('pending', 'parked')`
export const settledStates: string = `('published', 'discarded')`
