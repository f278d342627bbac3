import { OutboxError } from '@outbox/core'

/** The keys beside one stream. All have the stream's cluster slot, and begin with `outbox:` after the client's prefix. */
export interface StreamKeys {
  readonly stream: string
  /** hash: partition → the highest epoch seen and its holder, for the outbox named `source`; never expires */
  fence(source: string): string
  /** exists while a repeat of this id is dropped */
  seen(deduplicationId: string): string
}

/**
 * Names the keys of a stream.
 *
 * A script may only touch keys of one slot of a cluster, so they repeat the part of the stream's name that is hashed:
 * its `{tag}`, else the whole name. The full name follows, since two streams may share a tag.
 *
 * @param keyPrefix - what the client puts before every key; it is hashed too
 * @throws {OutboxError} `invalid-option` for a name that no other key can share a slot with: empty, or a `}` in it
 *   without being a tag
 */
export function streamKeys(stream: string, keyPrefix = ''): StreamKeys {
  const tag = hashedPart(keyPrefix + stream)
  const base = `outbox:{${tag}}:${stream}`
  if (stream === '' || hashedPart(keyPrefix + base) !== tag) {
    throw new OutboxError(
      'invalid-option',
      `redisPublisher: the stream name ${JSON.stringify(keyPrefix + stream)} cannot be used: ${
        stream === ''
          ? 'it is empty'
          : "it has a '{' or '}' that makes no {tag}, so no other key can share its cluster slot"
      }. Write a name like 'orders' or '{shop}:orders'.`,
      { option: 'stream' },
    )
  }
  return {
    stream,
    fence: (source) => `${base}:fence:${source}`,
    seen: (deduplicationId) => `${base}:seen:${deduplicationId}`,
  }
}

/** The part of a key that decides its slot: between the first `{` and the next `}` if that is not empty, else all. */
export function hashedPart(key: string): string {
  const open = key.indexOf('{')
  const close = open === -1 ? -1 : key.indexOf('}', open + 1)
  return close > open + 1 ? key.slice(open + 1, close) : key
}
