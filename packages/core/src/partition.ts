/** Every outbox has 64 partitions: the unit of ownership among relays. More relays than that stand by. */
export const partitionCount = 64

const encoder = new TextEncoder()

/**
 * The 32-bit hash that assigns an aggregate to a partition, as an unsigned integer.
 *
 * FNV-1a over the UTF-8 bytes of the type, one byte 0x1F, and the UTF-8 bytes of the id, then murmur3's 32-bit
 * finalizer, which spreads the entropy into the low bits. Written down with test vectors in docs/partition-hash.md,
 * so that a program in another language can tell where an aggregate stands. It never changes: rows carry its result.
 */
export function partitionHash(aggregateType: string, aggregateId: string): number {
  let hash = fnv1a(fnvOffset, aggregateType)
  hash = Math.imul(hash ^ separator, fnvPrime)
  hash = fnv1a(hash, aggregateId)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The partition of an aggregate, 0 to 63. */
export function partitionOf(aggregateType: string, aggregateId: string): number {
  return partitionHash(aggregateType, aggregateId) % partitionCount
}

const fnvOffset = 0x811c_9dc5
const fnvPrime = 0x0100_0193
const separator = 0x1f // refused in names, so ('a', 'bc') and ('ab', 'c') cannot meet

function fnv1a(seed: number, text: string): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) return fnv1aBytes(hash, encoder.encode(text.slice(i)))
    hash = Math.imul(hash ^ code, fnvPrime)
  }
  return hash
}

function fnv1aBytes(seed: number, bytes: Uint8Array): number {
  let hash = seed
  for (const byte of bytes) hash = Math.imul(hash ^ byte, fnvPrime)
  return hash
}
