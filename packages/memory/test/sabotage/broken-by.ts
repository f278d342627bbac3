/** One way to break what a suite checks. */
export interface BrokenBy<Sabotage> {
  /** completes the sentence: a store, an inbox, a publisher … */
  readonly breaks: string
  readonly sabotage: Sabotage
  /** ids of the checks that must notice */
  readonly caughtBy: readonly string[]
  /** a call never ends: the check does not end either, and that is how it is noticed */
  readonly hangs?: true
}
