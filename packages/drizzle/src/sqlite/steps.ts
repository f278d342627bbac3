/** What the statements of this store take as values. */
export type SqlValue = string | number | null

/** One statement and the values of its placeholders. */
export interface Query {
  readonly text: string
  readonly values: readonly SqlValue[]
  /** it changes nothing, has no values, and takes a lock of the file: the only statement that may be told `busy` */
  readonly takesLock?: true
}

export type Row = Readonly<Record<string, unknown>>

/**
 * A piece of work on the database, written once for every driver: it yields statements and is given their rows.
 *
 * Who runs it decides whether that happens at once (`runSteps`) or with an `await` in between (`runStepsAsync`); the
 * work itself does not know. A list of statements is run in one go: nothing else, not even the end of the transaction,
 * comes in between, and what was done is undone when one of them fails. It gives no rows.
 */
export type Steps<Result> = Generator<Query | readonly Query[], Result, readonly Row[]>

/** One statement as a step: `const rows = yield* query('SELECT …', id)`. */
export function* query(text: string, ...values: readonly SqlValue[]): Steps<readonly Row[]> {
  return yield { text, values }
}

/** Statements that are written whole or not at all, as one step. */
export function* inOneGo(queries: readonly Query[]): Steps<void> {
  if (queries.length > 0) yield queries
}

/** Runs the work to its end on a synchronous driver; what a statement throws comes out. */
export function runSteps<Result>(rows: (query: Query) => readonly Row[], steps: Steps<Result>): Result {
  let step = steps.next()
  while (!step.done) {
    if (isOne(step.value)) step = steps.next(rows(step.value))
    else {
      for (const each of step.value) rows(each)
      step = steps.next([])
    }
  }
  return step.value
}

/** How an asynchronous driver runs statements. */
export interface AsyncRunner {
  rows(query: Query): Promise<readonly Row[]>
  inOneGo(queries: readonly Query[]): Promise<void>
}

/** Runs the work to its end on an asynchronous driver; what a statement rejects with comes out. */
export async function runStepsAsync<Result>(runner: AsyncRunner, steps: Steps<Result>): Promise<Result> {
  let step = steps.next()
  while (!step.done) {
    if (isOne(step.value)) step = steps.next(await runner.rows(step.value))
    else {
      await runner.inOneGo(step.value)
      step = steps.next([])
    }
  }
  return step.value
}

function isOne(step: Query | readonly Query[]): step is Query {
  return 'text' in step
}
