import type { PublisherTopic } from './context.ts'
import { deduplication } from './topics/deduplication.ts'
import { delivery } from './topics/delivery.ts'
import { exactness } from './topics/exactness.ts'
import { failures } from './topics/failures.ts'
import { fencing } from './topics/fencing.ts'
import { interruptions } from './topics/interruptions.ts'

/** The publisher suite, in the order in which a person would want to read it. */
export const publisherTopics: readonly PublisherTopic[] = [
  delivery,
  exactness,
  deduplication,
  failures,
  fencing,
  interruptions,
]
