import type { RedisClient } from './client.ts'
import { hashedPart } from './keys.ts'

/** a power of two */
const slotCount = 16_384

/**
 * The node that the client would write a key to, as far as it knows; the slot, where it knows none.
 *
 * Without a cluster there is one node, ''.
 */
export function nodeOf(key: string, { isCluster, options, slots }: RedisClient): string {
  if (!isCluster) return ''
  const slot = slotOf((options.keyPrefix ?? '') + key)
  return slots?.[slot]?.[0] ?? `slot ${slot}`
}

/** CRC16 (XMODEM) of the part that is hashed: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec */
export function slotOf(key: string): number {
  let crc = 0
  for (const byte of Buffer.from(hashedPart(key))) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  }
  return crc & (slotCount - 1)
}
