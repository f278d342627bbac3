import type { RecordedAs } from '../history.ts'
import { type Due, Dues, type OwnDeed } from './dues.ts'
import type { Facts, Violation } from './facts.ts'

type Event = RecordedAs<'event'>

/** Neither has a place here: no part of the world is broken, and no producer breaks the order. */
const defects: ReadonlySet<string> = new Set(['error', 'lateSequence'])

/**
 * Relays tell what is so, all of it, when they know it, and nothing else: what the store has settled or refused, what
 * partitions they have and lose, and that store and broker are away and back.
 *
 * A relay that dies or hears no answer knows nothing, and tells nothing.
 */
export function eventsAreTrue(facts: Facts): readonly Violation[] {
  return [...ownDeedsIn(facts)].flatMap(([relay, deeds]) => {
    const dues = new Dues(facts)
    return momentsOf(deeds).flatMap((moment) => {
      const due = moment.flatMap((deed) => dues.of(deed))
      const told = eventsAmong(moment)
      for (const event of told) dues.told(event)
      const step = moment.at(-1)?.step ?? 0
      return [
        ...compare(due, told).map(({ what, ids }) => violation(`${relay} ${what}`, ids, step)),
        ...due.flatMap((each) => unknownToStore(facts, each, step)),
      ]
    })
  })
}

/** Relays tell no defect. */
export function defectsAreNone(facts: Facts): readonly Violation[] {
  return facts.outcome.history.all('event').flatMap(({ relay, name, ids, text, step }) => {
    if (name === 'error') return [{ rule: 'no-defect', text: `${relay}: ${text}`, ids: [], step }]
    return name === 'lateSequence' ? [violation(`${relay} told a late sequence`, ids, step)] : []
  })
}

function ownDeedsIn(facts: Facts): ReadonlyMap<string, readonly OwnDeed[]> {
  const own = facts.outcome.history.all('asked', 'probed', 'said', 'heard', 'event', 'releasing', 'stopping')
  return Map.groupBy(own, ({ relay }) => relay)
}

/** What happens to one relay at one moment: the order within it depends on nothing but how promises are chained. */
function momentsOf(deeds: readonly OwnDeed[]): readonly (readonly OwnDeed[])[] {
  return [...Map.groupBy(deeds, ({ moment }) => moment).values()]
}

function eventsAmong(deeds: readonly OwnDeed[]): readonly Event[] {
  return deeds.filter((deed): deed is Event => deed.kind === 'event' && !defects.has(deed.name))
}

/** Each event that is due is told once, and nothing is told that is not due. */
function compare(
  due: readonly Due[],
  told: readonly Event[],
): readonly { readonly what: string; readonly ids: readonly string[] }[] {
  const open = [...due]
  const excess = told.filter((event) => {
    const index = open.findIndex((each) => keyOf(each) === keyOf(event))
    if (index >= 0) open.splice(index, 1)
    return index < 0
  })
  const missing = open.filter(({ isOptional }) => !isOptional)
  return [
    ...excess.map((event) => ({ what: `told without cause: ${wordsOf(event)}`, ids: event.ids })),
    ...missing.map((each) => ({ what: `did not tell: ${wordsOf(each)}`, ids: each.ids })),
  ]
}

/** The store has heard of an entry before anybody is told. */
function unknownToStore(facts: Facts, { name, settlements }: Due, step: number): readonly Violation[] {
  const unknown = settlements
    .filter(
      ({ id, fetch, outcome }) =>
        !facts.settled.get(id)?.some((deed) => deed.fetch === fetch && deed.outcome === outcome && deed.step < step),
    )
    .map(({ id }) => id)
  return unknown.length === 0
    ? []
    : [violation(`the store does not know of what it let be told as ${name}`, unknown, step)]
}

function violation(text: string, ids: readonly string[], step: number): Violation {
  return { rule: 'events-are-true', text, ids, step }
}

function keyOf({ name, ids, text }: Pick<Event, 'name' | 'ids' | 'text'>): string {
  return JSON.stringify([name, ids, text])
}

function wordsOf({ name, ids, text }: Pick<Event, 'name' | 'ids' | 'text'>): string {
  return [`'${name}'`, text, ids.length > 0 ? `of ${ids.length} entries` : ''].filter(Boolean).join(' ')
}
