/**
 * Percent-encodes text for a header of a protocol that wants printable ASCII: everything else, space, `"` and `%`.
 *
 * The rule of the CloudEvents HTTP binding (1.0.2, section 3.1.3.2), which its NATS binding takes over.
 */
export function encodeHeaderValue(text: string): string {
  // asked first: hardly any value has something to encode
  return plainText.test(text) ? text : text.replace(/[^\x21\x23\x24\x26-\x7e]+/gu, encodeURIComponent)
}

const plainText = /^[\x21\x23\x24\x26-\x7e]*$/

/** Reads such a value back; text that is not well encoded is returned as it is. */
export function decodeHeaderValue(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text // written by somebody else, who does not encode
  }
}
