/** Where a generator takes its time and its chance from; both can be replaced in tests and simulations. */
export interface IdSources {
  /** wall clock, milliseconds since 1970 */
  readonly now?: () => number
  /** fills the array with random bytes */
  readonly random?: (bytes: Uint8Array) => void
}

const poolBytes = 1024
const bytesPerId = 12 // 4 to seed the counter, 8 for the tail
const maxCounter = 0x3fff_ffff // 30 bits

/**
 * Makes a generator of UUIDv7 strings (RFC 9562) that ascend strictly within this generator.
 *
 * The 48-bit millisecond is followed by a 30-bit counter, started at random below half its range in each
 * millisecond, and 44 random bits. A clock that stands still or goes back does not break the order: the last
 * millisecond is kept and the counter goes on; a counter that runs out borrows the next millisecond.
 *
 * Ids of two processes are unique, not ordered: nothing may rely on their order.
 */
export function uuidv7Generator(sources: IdSources = {}): () => string {
  const now = sources.now ?? Date.now
  const random =
    sources.random ?? ((bytes: Uint8Array) => void crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>))
  const pool = new Uint8Array(poolBytes)
  const view = new DataView(pool.buffer)
  let used = poolBytes
  let last: Tick = { time: -1, counter: 0 }

  return () => {
    if (used + bytesPerId > poolBytes) {
      random(pool)
      used = 0
    }
    const offset = used
    used += bytesPerId
    // 29 bits of chance: half the counter's range is left to count in
    last = nextTick(last, Math.floor(now()), view.getUint32(offset) >>> 3)
    return format(last, view.getUint32(offset + 4), view.getUint32(offset + 8))
  }
}

/** A place in a generator's order: by time, then counter. */
interface Tick {
  readonly time: number
  readonly counter: number
}

/** The place after `last`: a later millisecond starts its counter at `seed`, a full counter borrows the next one. */
export function nextTick(last: Tick, time: number, seed: number): Tick {
  if (time > last.time) return { time, counter: seed }
  if (last.counter < maxCounter) return { time: last.time, counter: last.counter + 1 }
  return { time: last.time + 1, counter: seed }
}

function format({ time, counter }: Tick, high: number, low: number): string {
  // 12 bits of the counter stand beside the version, 18 behind the variant, then 44 random bits
  const upper = Math.floor(time / 0x1_0000)
  const a = hex(0x7000 | (counter >>> 18))
  const b = hex(0x8000 | ((counter >>> 4) & 0x3fff))
  const c = hex((counter << 12) | (high & 0xfff))
  return `${hex(upper >>> 16)}${hex(upper)}-${hex(time)}-${a}-${b}-${c}${hex(low >>> 16)}${hex(low)}`
}

/** The lowest 16 bits as four digits: from a table, for `toString(16)` of a large number is slow. */
function hex(value: number): string {
  return `${hexPairs[(value >>> 8) & 0xff]}${hexPairs[value & 0xff]}`
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** True for the text form of a UUID of any version; stores keep it in lower case. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && uuidPattern.test(value)
}
