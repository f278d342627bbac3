/** One way to break what a suite checks. */
export interface BrokenBy<Sabotage> {
  /** completes the sentence: a store, an inbox, a publisher … */
  readonly breaks: string
  readonly sabotage: Sabotage
  /** ids of the checks that must notice */
  readonly caughtBy: readonly string[]
  /** of those, the checks that wait for a call which never ends: that they do not end is how they notice */
  readonly hangs?: readonly string[]
}
