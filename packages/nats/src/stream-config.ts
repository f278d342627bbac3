import { isRecord } from './answers.ts'

/** What of a stream's configuration matters to a publisher. */
export interface StreamConfig {
  readonly name: string
  readonly subjects: readonly string[]
  readonly retention: string
  readonly storage: string
  readonly discard: string
  /** 0 or less: no limit, here and below */
  readonly maxMessages: number
  readonly maxBytes: number
  readonly maxMessagesPerSubject: number
  readonly maxMessageBytes: number
  readonly duplicateWindowMs: number
  readonly acknowledges: boolean
  readonly isSealed: boolean
  /** adds numbers up, in place of storing messages as they are */
  readonly counts: boolean
  readonly allowsBatches: boolean
  /** which subjects it stores under other names; undefined if none */
  readonly transformedSubjects: string | undefined
}

/** Reads the reply to `STREAM.INFO`; what an older server leaves out has its default. */
export function streamConfigFrom(name: string, body: Readonly<Record<string, unknown>>): StreamConfig {
  const config = isRecord(body['config']) ? body['config'] : {}
  const number = (key: string): number => (typeof config[key] === 'number' ? config[key] : 0)
  const text = (key: string): string => (typeof config[key] === 'string' ? config[key] : '')
  const subjects = Array.isArray(config['subjects']) ? config['subjects'] : []
  return {
    name,
    subjects: subjects.filter((subject) => typeof subject === 'string'),
    retention: text('retention'),
    storage: text('storage'),
    discard: text('discard'),
    maxMessages: number('max_msgs'),
    maxBytes: number('max_bytes'),
    maxMessagesPerSubject: number('max_msgs_per_subject'),
    maxMessageBytes: number('max_msg_size'),
    duplicateWindowMs: number('duplicate_window') / 1e6,
    acknowledges: config['no_ack'] !== true,
    isSealed: config['sealed'] === true,
    counts: config['allow_msg_counter'] === true,
    allowsBatches: config['allow_atomic'] === true,
    transformedSubjects: transformedBy(config['subject_transform']),
  }
}

function transformedBy(transform: unknown): string | undefined {
  if (!isRecord(transform)) return undefined
  return typeof transform['src'] === 'string' && transform['src'] !== '' ? transform['src'] : '>'
}

/** Why a stream takes no entries for ever, with what to do; undefined if it takes them. */
export function closure({ name, subjects, isSealed, counts }: StreamConfig): string | undefined {
  if (isSealed) return `stream '${name}' is sealed and takes no messages: publish to another one`
  if (counts) return `stream '${name}' adds numbers up (allow_msg_counter) and takes no events: publish to another one`
  if (subjects.length > 0) return undefined
  return `stream '${name}' has no subjects, and takes messages of other streams alone (a mirror, or sources): publish to one of those`
}

/** Whether a stream deletes messages once consumers have had them, or where there are none. */
export function forgetsConsumed({ retention }: StreamConfig): boolean {
  return retention === 'workqueue' || retention === 'interest'
}

/** What keeps a stream from being published to at all; each with what to do. */
export function streamFaults(config: StreamConfig): readonly string[] {
  const { name, acknowledges } = config
  return [
    ...(acknowledges ? [] : [`stream '${name}' has no_ack set and never acknowledges: nats stream edit ${name} --ack`]),
    ...[closure(config)].filter((fault) => fault !== undefined),
  ]
}

/** What of a stream's configuration loses, repeats or refuses messages sooner or later. */
export function streamWarnings(
  config: StreamConfig,
  retryHorizonMs: number,
  maxPayload: number | undefined,
): readonly string[] {
  const { name } = config
  const warnings: string[] = []
  if (config.duplicateWindowMs < retryHorizonMs) {
    const seconds = Math.ceil(retryHorizonMs / 1000)
    warnings.push(
      `Stream '${name}' drops repeats for ${config.duplicateWindowMs / 1000} s (duplicate_window), and an entry may be sent again ${seconds} s after its first try. Set it: nats stream edit ${name} --dupe-window=${seconds}s`,
    )
  }
  if (config.storage === 'memory') {
    warnings.push(
      `Stream '${name}' keeps its messages in memory: a restart of the server loses what is acknowledged. Storage cannot be edited: make a stream with --storage=file`,
    )
  }
  if (config.discard === 'old' && (config.maxMessages > 0 || config.maxBytes > 0)) {
    warnings.push(
      `Stream '${name}' drops its oldest messages when it is full, consumed or not. To have new ones wait in the outbox instead: nats stream edit ${name} --discard=new`,
    )
  }
  if (config.maxMessagesPerSubject > 0) {
    warnings.push(
      `Stream '${name}' keeps ${config.maxMessagesPerSubject} messages per subject (max_msgs_per_subject): consumers that are behind miss events. Lift it: nats stream edit ${name} --max-msgs-per-subject=-1`,
    )
  }
  if (config.retention === 'interest') {
    warnings.push(
      `Stream '${name}' drops what no consumer is interested in (retention: interest): make the consumers first.`,
    )
  }
  if (config.maxMessageBytes > 0 && (maxPayload === undefined || config.maxMessageBytes < maxPayload)) {
    warnings.push(
      `Stream '${name}' refuses messages above ${config.maxMessageBytes} bytes (max_msg_size): larger entries become dead letters.`,
    )
  }
  return warnings
}
