export type {
  NatsConnectionLike,
  NatsHeadersLike,
  NatsMessageLike,
  NatsServerInfo,
  NatsSubscriptionLike,
} from './connection.ts'
export { decodeNatsMessage } from './decode.ts'
export type { NatsFormat } from './message.ts'
export type { NatsPublisherOptions } from './options.ts'
export { type NatsPublisher, natsPublisher } from './publisher.ts'
export { escapeSubjectToken, type SubjectOption } from './subject.ts'
