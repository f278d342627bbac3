/** What the statements of this store take as values. */
export type SqlValue = string | number | null

/** One statement and the values of its placeholders. */
export interface Query {
  readonly text: string
  readonly values: readonly SqlValue[]
}

export type Row = Readonly<Record<string, unknown>>

/**
 * A piece of work on the database, written once for every driver: it yields statements and is given their rows.
 *
 * Who runs it decides whether that happens at once (`runSteps`) or with an `await` in between; the work itself does
 * not know. An asynchronous driver needs one more runner, and no second copy of any statement.
 */
export type Steps<Result> = Generator<Query, Result, readonly Row[]>

/** One statement as a step: `const rows = yield* query('SELECT …', id)`. */
export function* query(text: string, ...values: readonly SqlValue[]): Steps<readonly Row[]> {
  return yield { text, values }
}

/** Runs the work to its end on a synchronous driver; what a statement throws comes out. */
export function runSteps<Result>(rows: (query: Query) => readonly Row[], steps: Steps<Result>): Result {
  let step = steps.next()
  while (!step.done) step = steps.next(rows(step.value))
  return step.value
}
