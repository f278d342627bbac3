import type { MongoDatabase } from '@outbox/mongo'

/** Says what becomes of a command: nothing yet, or that it goes on. */
type Gate = (name: string) => Promise<void>

const commands = new Set([
  ...['findOneAndUpdate', 'updateMany', 'deleteMany', 'bulkWrite', 'createIndexes', 'toArray'],
  ...['command', 'createCollection'],
])

/**
 * A database whose every command passes a gate before it is sent: a process that is held, or dies, at any of them.
 *
 * @param onAnswer - called when a command has been answered, though nobody may wait for it any more
 */
export function gatedDatabase(
  db: MongoDatabase,
  gate: Gate,
  onAnswer: (name: string) => void = () => undefined,
): MongoDatabase {
  return gated(db, gate, onAnswer)
}

function gated<T extends object>(target: T, gate: Gate, onAnswer: (name: string) => void): T {
  return new Proxy(target, {
    get(inner, name) {
      const value: unknown = Reflect.get(inner, name)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      return (...args: unknown[]) => {
        const call = (): unknown => Reflect.apply(value, inner, args)
        if (commands.has(name)) {
          return gate(name)
            .then(call)
            .finally(() => onAnswer(name))
        }
        const result = call()
        return typeof result === 'object' && result !== null && !(result instanceof Promise)
          ? gated(result, gate, onAnswer)
          : result
      }
    },
  })
}

/** A gate that holds the command with the given number until it is told to go on; those behind it are held too. */
export function holdingGate(heldFrom: number): {
  readonly gate: Gate
  /** resolves when a command is held */
  readonly isHeld: Promise<void>
  goOn(): void
} {
  let sent = 0
  let goOn: () => void = () => undefined
  let tell: () => void = () => undefined
  const isHeld = new Promise<void>((resolve) => {
    tell = resolve
  })
  const opened = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const gate = async (): Promise<void> => {
    sent += 1
    if (sent < heldFrom) return
    tell()
    await opened
  }
  return { gate, isHeld, goOn: () => goOn() }
}

/** Holds one `bulkWrite`, counted from 1, until it is told to go on; everything else passes. */
export function heldWrite(number: number): {
  readonly gate: Gate
  readonly onAnswer: (name: string) => void
  readonly isHeld: Promise<void>
  readonly isAnswered: Promise<void>
  goOn(): void
} {
  const held = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  const answered = Promise.withResolvers<void>()
  let sent = 0
  return {
    async gate(name) {
      if (name !== 'bulkWrite' || ++sent !== number) return
      held.resolve()
      await opened.promise
    },
    // answers of those before it come before it is sent
    onAnswer(name) {
      if (name === 'bulkWrite' && sent >= number) answered.resolve()
    },
    isHeld: held.promise,
    isAnswered: answered.promise,
    goOn: () => opened.resolve(),
  }
}

export class Killed extends Error {}

/** A gate that lets so many commands through, and then none any more: what a process that was killed has done. */
export function killingGate(survives: number): Gate {
  let sent = 0
  return async () => {
    sent += 1
    if (sent > survives) throw new Killed(`killed before command ${sent}`)
  }
}
