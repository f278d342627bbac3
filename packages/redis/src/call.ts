import type { DueEntry, Lease, PublishOutcome } from '@outbox/core'
import { aggregateKey } from '@outbox/core/adapter'
import type { RedisArgument } from './client.ts'
import { failureFromReply } from './errors.ts'
import type { StreamKeys } from './keys.ts'
import { messageFields } from './message.ts'
import type { Acknowledge, RedisSettings } from './options.ts'

/** Keys and arguments of one call of the script: see its head for the layout. */
export interface ScriptCall {
  readonly keys: readonly string[]
  readonly args: readonly RedisArgument[]
}

/** @param entries - of one outbox, at least one */
export function scriptCall(
  entries: readonly DueEntry[],
  source: string,
  keys: StreamKeys,
  settings: Pick<RedisSettings, 'format' | 'dedupeWindowMs' | 'maxLength' | 'acknowledge'>,
): ScriptCall {
  const { format, dedupeWindowMs, maxLength, acknowledge } = settings
  const aggregates = new Numbers<DueEntry>()
  const leases = new Numbers<Lease>()
  const sets = new FieldSets()
  const ofEntries: RedisArgument[] = []
  for (const entry of entries) {
    const { partition, epoch, holder } = entry.lease
    const { names, values } = messageFields(entry, format)
    ofEntries.push(aggregates.of(aggregateKey(entry), entry))
    ofEntries.push(leases.of(`${partition} ${epoch} ${holder}`, entry.lease), sets.of(names), ...values)
  }
  return {
    keys: [keys.stream, keys.fence(source), ...entries.map(({ deduplicationId }) => keys.seen(deduplicationId))],
    args: [
      ...[dedupeWindowMs, maxLength ?? '', markFor(acknowledge)],
      ...[leases.all.length, ...leases.all.flatMap(({ partition, epoch, holder }) => [partition, epoch, holder])],
      ...[sets.all.length, ...sets.all.flatMap((names) => [names.length, ...names])],
      ...ofEntries,
    ],
  }
}

/** Numbers things in the order in which they are met, from 1 on: those of one key alike. */
class Numbers<Thing> {
  readonly #numbers = new Map<string, number>()
  readonly all: Thing[] = []

  of(key: string, thing: Thing): number {
    const number = this.#numbers.get(key) ?? this.all.push(thing)
    this.#numbers.set(key, number)
    return number
  }
}

/** Numbers sets of fields, from 1 on. As a rule there are one or two; the last one is likely to come again. */
class FieldSets {
  readonly #numbers = new Numbers<readonly string[]>()
  #last: { readonly names: readonly string[]; readonly number: number } | undefined

  get all(): readonly (readonly string[])[] {
    return this.#numbers.all
  }

  of(names: readonly string[]): number {
    if (!this.#last || !areSame(this.#last.names, names)) {
      this.#last = { names, number: this.#numbers.of(JSON.stringify(names), names) }
    }
    return this.#last.number
  }
}

function areSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, index) => name === other[index])
}

/** Asks whether the stream takes entries: see the script's head. Its keys are of an outbox and an entry without a name. */
export function probeCall(keys: StreamKeys, { acknowledge }: Pick<RedisSettings, 'acknowledge'>): ScriptCall {
  return { keys: [keys.stream, keys.fence(''), keys.seen('')], args: ['probe', '', markFor(acknowledge)] }
}

/** Whether WAIT needs a write to ask about. */
function markFor(acknowledge: Acknowledge | undefined): '1' | '' {
  return acknowledge === undefined ? '' : '1'
}

/**
 * What the script said of each entry, in order.
 *
 * @throws {Error} when the reply is not one of ours: then nothing is known
 */
export function outcomesFrom(reply: unknown, count: number, system: string): readonly PublishOutcome[] {
  if (!Array.isArray(reply) || reply.length < count)
    throw new Error('the script answered with something else than results')
  const results: readonly unknown[] = reply
  return results.slice(0, count).map((result) => outcomeFrom(String(result), system))
}

function outcomeFrom(result: string, system: string): PublishOutcome {
  const space = result.indexOf(' ')
  const verb = space === -1 ? result : result.slice(0, space)
  const rest = space === -1 ? '' : result.slice(space + 1)
  switch (verb) {
    case 'added':
      return { status: 'published' }
    case 'duplicate':
      return { status: 'published', duplicate: true }
    case 'skipped':
      return { status: 'notSent' }
    case 'fenced':
      return { status: 'fenced', epoch: Number(rest) }
    case 'failed':
      return failureFromReply(rest, system)
    default:
      throw new Error(`the script answered '${verb}', which means nothing`)
  }
}

/** Why the script left no mark for WAIT to ask about; undefined when it did. */
export function missingMark(reply: unknown): string | undefined {
  const last: unknown = Array.isArray(reply) ? reply.at(-1) : undefined
  return last === 'marked' ? undefined : `no write to acknowledge: ${String(last)}`
}
