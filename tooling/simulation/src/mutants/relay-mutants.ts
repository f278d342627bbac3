import type { Mutant } from './mutant.ts'

/** Mistakes in the relay. */
export const relayMutants: readonly Mutant[] = [
  {
    name: 'takes an unanswered publish for a published one',
    file: 'relay/src/decide.ts',
    code: `    case 'unknown':
`,
    instead: `    case 'unknown':
      return { entry, outcome: 'published' }
`,
    within: 200,
  },
  {
    name: 'goes on with an aggregate after its failure',
    file: 'relay/src/publishing.ts',
    code: `queue.filter(({ outcome }) => outcome.status !== 'published')`,
    instead: 'queue.filter((draft) => !wave.has(draft))',
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
    within: 100,
  },
  {
    name: 'takes a refusal by the fence for published',
    file: 'relay/src/decide.ts',
    code: `    case 'fenced':
`,
    instead: `    case 'fenced':
      return { entry, outcome: 'published' }
`,
    within: 2_000,
  },
  {
    name: 'publishes after its own lease has run out',
    file: 'relay/src/leases.ts',
    code: 'this.#now + this.#context.settings.publishTimeoutMs <= this.#deadline',
    instead: 'true',
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
    within: 200,
  },
  {
    name: 'counts an unanswered publish as an attempt while the broker is away',
    file: 'relay/src/decide.ts',
    code: `      return wait(entry, outcome.error, false, context)
    case 'unavailable':`,
    instead: `      return refused(entry, outcome.error, context)
    case 'unavailable':`,
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
    within: 200,
  },
  {
    name: 'evicts a relay that was silent for a quarter of the lease',
    file: 'relay/src/leases.ts',
    code: 'this.#now - since >= leaseMs',
    instead: 'this.#now - since >= leaseMs / 4',
    within: 1_000,
  },
  {
    name: 'hands partitions over while a batch of theirs is in flight',
    file: 'relay/src/leases.ts',
    code: '!this.#inUse.has(partition) && unresolvedUntil <= this.#now',
    instead: 'partition >= 0 || unresolvedUntil > 0',
    within: 400,
  },
  {
    name: 'works on partitions of another lane',
    file: 'relay/src/lane.ts',
    code: 'partition % this.#context.settings.lanes === this.#index',
    instead: 'partition % this.#context.settings.lanes <= this.#index',
    within: 100,
  },
  {
    name: 'drops what is in flight when it stops',
    file: 'relay/src/relay.ts',
    code: '    await this.#lanesEnded\n',
    instead: `    this.#abort.abort(new Error('stopped'))\n    this.#over.abort(new Error('stopped'))\n`,
    within: 1_000,
  },
  {
    name: 'keeps more than its share',
    file: 'relay/src/leases.ts',
    code: 'surplus.isRetiring = true',
    instead: 'surplus.isRetiring = false',
    within: 100,
  },
  {
    name: 'loses a wake-up that comes while nobody waits',
    file: 'relay/src/time.ts',
    code: '    this.#isRung = true\n',
    instead: '',
    within: 100,
  },
  {
    name: 'never closes a breaker',
    file: 'relay/src/breaker.ts',
    code: '    if (!isBack) return this.#probeLater()\n',
    instead: '    if (this.#failures > 0) return this.#probeLater()\n',
    within: 400,
  },
  {
    name: 'tells entries as published when the store has not heard of it',
    file: 'relay/src/lane.ts',
    code: 'if (abort.aborted || !this.#context.leases.stillHolds(leases)) return undefined',
    instead: 'return []',
    within: 400,
  },
  {
    name: 'looks at new partitions beside other batches',
    file: 'relay/src/lane.ts',
    code: ' || this.#grantsSeen !== leases.grants',
    instead: '',
    within: 20,
    from: 2_150,
  },
  {
    name: 'never gives up an entry that kills it',
    file: 'relay/src/lane.ts',
    code: 'if (crashed) return [crashedTooOften(crashed)] // it is lent alone',
    instead: '',
    within: 400,
  },
]
