import type { Mutant } from './mutant.ts'

/** Mistakes in what the relay tells and counts. */
export const tellingMutants: readonly Mutant[] = [
  {
    name: 'tells entries before the store has heard of them',
    file: 'relay/src/lane.ts',
    code: `    const lost = await this.#settleUntilHeard(
      leases,
      verdicts.flatMap(({ settlement }) => settlement ?? []),
      abort,
    )
    if (!lost) return 'paused'
    this.#tell(verdicts, lost)
`,
    instead: `    this.#tell(verdicts, [])
    const lost = await this.#settleUntilHeard(
      leases,
      verdicts.flatMap(({ settlement }) => settlement ?? []),
      abort,
    )
    if (!lost) return 'paused'
    this.#context.leases.drop(lost)
`,
    by: ['events-are-true'],
    within: 20,
  },
  {
    name: 'tells one failure of a batch, and no others',
    file: 'relay/src/lane.ts',
    code: 'for (const verdict of heard) this.#tellFailure(verdict)',
    instead:
      'for (const verdict of heard.filter(({ settlement }) => settlement.outcome !== "published").slice(0, 1)) this.#tellFailure(verdict)',
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'tells as published what the store refused to settle',
    file: 'relay/src/lane.ts',
    code: 'const heard = said.filter((verdict) => !isLost(verdict))',
    instead: 'const heard = said',
    by: ['events-are-true'],
    within: 400,
    from: 40,
  },
  {
    name: 'does not tell leases that it finds lost',
    file: 'relay/src/leases.ts',
    code: "    this.#context.events.emit('leasesLost', { partitions: lost.map(({ partition }) => partition) })\n",
    instead: '',
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'does not tell what partitions are left after it has handed some over, or lost them',
    file: 'relay/src/leases.ts',
    code: '    if (leases.length > 0) this.#announce()\n',
    instead: '',
    by: ['events-are-true'],
    within: 20,
  },
  {
    name: 'takes leases for lost that it gave back, where it did not hear the answer',
    file: 'relay/src/leases.ts',
    code: '    this.#forget(gone.filter(({ isReleased }) => isReleased))\n',
    instead: '',
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'does not tell that a destination is back',
    file: 'relay/src/breaker.ts',
    code: '    if (probes) this.#announceUp()\n',
    instead: '',
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'does not tell that a destination without a probe is away',
    file: 'relay/src/breaker.ts',
    code: 'if (this.#failures === 0) this.#context',
    instead: 'if (this.#failures === 0 && this.publisher.probe) this.#context',
    by: ['events-are-true'],
    within: 400,
  },
  {
    name: 'does not tell that a destination without a probe is back',
    file: 'relay/src/breaker.ts',
    code: '    if (!this.#isOpen) this.#announceUp()\n',
    instead: '',
    by: ['events-are-true'],
    within: 400,
  },
  {
    name: 'tells a destination as down with each probe that fails',
    file: 'relay/src/breaker.ts',
    code: 'if (!isBack) return this.#probeLater()',
    instead:
      'if (!isBack) this.#context.events.emit("destinationDown", { destination: this.publisher.name, error: undefined })\n    if (!isBack) return this.#probeLater()',
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'tells each call that finds the store away',
    file: 'relay/src/store-calls.ts',
    code: `OutboxError.is(error, 'unavailable') && !this.#isDown && `,
    instead: `OutboxError.is(error, 'unavailable') && `,
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'does not tell that the store is back',
    file: 'relay/src/store-calls.ts',
    code: `        events.emit('storeUp', {})\n`,
    instead: '',
    by: ['events-are-true'],
    within: 100,
  },
  {
    name: 'counts entries that wait twice',
    file: 'relay/src/lane.ts',
    code: 'counters.retried += 1',
    instead: 'counters.retried += 2',
    by: ['counters-are-true'],
    within: 20,
  },
  {
    name: 'counts refused settles by the batch',
    file: 'relay/src/lane.ts',
    code: 'counters.settlesRefused += refused.length',
    instead: 'counters.settlesRefused += 1',
    by: ['counters-are-true'],
    within: 400,
    from: 90,
  },
  {
    name: 'forgets the duplicates of earlier batches',
    file: 'relay/src/lane.ts',
    code: 'counters.duplicates += published.filter(',
    instead: 'counters.duplicates = published.filter(',
    by: ['counters-are-true'],
    within: 200,
  },
]
