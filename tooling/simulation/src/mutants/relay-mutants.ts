import type { Mutant } from './mutant.ts'

/** Mistakes in what the relay does. */
export const relayMutants: readonly Mutant[] = [
  {
    name: 'takes an unanswered publish for a published one',
    file: 'relay/src/decide.ts',
    code: `    case 'unknown':
`,
    instead: `    case 'unknown':
      return { entry, outcome: 'published' }
`,
    by: ['settles-are-true'],
    within: 200,
  },
  {
    name: 'goes on with an aggregate after its failure',
    file: 'relay/src/publishing.ts',
    code: `queue.filter(({ outcome }) => outcome.status !== 'published')`,
    instead: 'queue.filter((draft) => !wave.has(draft))',
    by: ['settled-entries-rest', 'first-deliveries-ascend'],
    within: 200,
  },
  {
    name: 'takes what was not sent for published',
    file: 'relay/src/decide.ts',
    code: `    case 'notSent':
`,
    instead: `    case 'notSent':
      return { entry, outcome: 'published' }
`,
    by: ['settles-are-true'],
    within: 100,
  },
  {
    name: 'takes a refusal by the fence for published',
    file: 'relay/src/decide.ts',
    code: `    case 'notSent':
    case 'fenced':
`,
    instead: `    case 'fenced':
      return { entry, outcome: 'published' }
    case 'notSent':
`,
    by: ['settles-are-true'],
    within: 200,
  },
  {
    name: 'publishes after its own lease has run out',
    file: 'relay/src/leases.ts',
    code: 'this.#context.settings.publishTimeoutMs <= this.remainingMs',
    instead: 'true',
    by: ['attempts-are-owned'],
    within: 1_000,
  },
  {
    name: 'counts an outage as an attempt',
    file: 'relay/src/decide.ts',
    code: `    case 'unavailable':
`,
    instead: `    case 'unavailable':
      return refused(entry, outcome.error, context)
`,
    by: ['outages-burn-nothing'],
    within: 200,
  },
  {
    name: 'counts an unanswered publish as an attempt while the broker is away',
    file: 'relay/src/decide.ts',
    code: `      return wait(entry, outcome.error, false, context)
    case 'unavailable':`,
    instead: `      return refused(entry, outcome.error, context)
    case 'unavailable':`,
    by: ['outages-burn-nothing'],
    within: 1_000,
  },
  {
    name: 'forgets refusals',
    file: 'relay/src/decide.ts',
    code: `    case 'retry':
`,
    instead: `    case 'retry':
      return undefined
`,
    by: ['refusals-count'],
    within: 200,
  },
  {
    name: 'evicts a relay that was silent for a quarter of the lease',
    file: 'relay/src/beats.ts',
    code: 'evictableAt: this.#now + keptMs,',
    instead: 'evictableAt: this.#now + keptMs / 4,',
    by: ['the-living-keep-leases'],
    within: 1_000,
  },
  {
    name: 'hands partitions over while a batch of theirs is in flight',
    file: 'relay/src/leases.ts',
    code: '!this.#inUse.has(partition) && unresolvedUntil <= this.#now',
    instead: 'partition >= 0 || unresolvedUntil > 0',
    by: ['repeats-have-causes'],
    within: 400,
  },
  {
    name: 'works on partitions of another lane',
    file: 'relay/src/lane.ts',
    code: 'partition % this.#context.settings.lanes === this.#index',
    instead: 'partition % this.#context.settings.lanes <= this.#index',
    by: ['repeats-have-causes'],
    within: 100,
  },
  {
    name: 'drops what is in flight when it stops',
    file: 'relay/src/relay.ts',
    code: '    await this.#lanesEnded\n',
    instead: `    this.#abort.abort(relayStopped())\n    this.#over.abort(relayStopped())\n`,
    by: ['stop'],
    within: 1_000,
  },
  {
    name: 'keeps more than its share',
    file: 'relay/src/leases.ts',
    code: 'surplus.isRetiring = true',
    instead: 'surplus.isRetiring = false',
    by: ['fair-share'],
    within: 100,
  },
  {
    name: 'loses a wake-up that comes while nobody waits',
    file: 'relay/src/bell.ts',
    code: '    this.#isRung = true\n',
    instead: '',
    by: ['fair-share'],
    within: 100,
  },
  {
    name: 'never closes a breaker',
    file: 'relay/src/breaker.ts',
    code: `    this.#isOpen = false
    if (probes) this.#announceUp()
`,
    instead: `    if (probes) this.#announceUp()
`,
    by: ['all-comes-to-rest'],
    within: 400,
  },
  {
    name: 'tells entries as published when the store has not heard of it',
    file: 'relay/src/lane.ts',
    code: 'if (abort.aborted || !this.#context.leases.stillHolds(leases)) return undefined',
    instead: 'return []',
    by: ['events-are-true'],
    within: 400,
  },
  {
    name: 'looks at new partitions beside other batches',
    file: 'relay/src/caution.ts',
    code: ' || this.#grantsWithSuspectsSeen !== this.#leases.grantsWithSuspects',
    instead: '',
    by: ['deaths-have-reasons'],
    within: 20,
    from: 260,
  },
  {
    name: 'never gives up an entry that kills it',
    file: 'relay/src/lane.ts',
    code: 'if (crashed) return [rejectedForCrashes(crashed)] // it is lent alone',
    instead: '',
    by: ['all-comes-to-rest'],
    within: 400,
  },
  {
    name: 'counts an attempt against the batch that finds an outage',
    file: 'relay/src/breaker.ts',
    code: `    this.#open(error)
    return true
`,
    instead: `    this.#open(error)
    return false
`,
    by: ['outages-burn-nothing'],
    within: 100,
  },
  {
    name: 'counts an attempt against a batch that fails beside the one that found the outage',
    file: 'relay/src/breaker.ts',
    code: 'if (this.#isOpen || abort.aborted) return true',
    instead: 'if (this.#isOpen || abort.aborted) return !this.#isOpen',
    by: ['outages-burn-nothing'],
    within: 400,
  },
  {
    name: 'counts an attempt against what it did not try',
    file: 'relay/src/lane.ts',
    code: '(!isTried || away.has(breaker))',
    instead: 'away.has(breaker)',
    by: ['outages-burn-nothing'],
    within: 400,
  },
  {
    name: 'counts one lost answer against every entry of an aggregate',
    file: 'relay/src/decide.ts',
    code: "      if (isBehindFailure && outcome.status === 'unknown') return undefined\n",
    instead: '',
    by: ['outages-burn-nothing'],
    within: 100,
  },
  {
    name: 'takes an outage of the store for a defect',
    file: 'relay/src/store-calls.ts',
    code: 'return OutboxError.is(error) && error.isRetryable',
    instead: `return OutboxError.is(error, 'busy')`,
    by: ['no-defect'],
    within: 50,
  },
  {
    name: 'gives back one partition of its share',
    file: 'relay/src/leases.ts',
    code: '.slice(share.size)) surplus',
    instead: '.slice(share.size - 1)) surplus',
    by: ['nothing-thrashes'],
    within: 20,
  },
]
