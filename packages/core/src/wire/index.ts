export {
  cloudEventAttributes,
  receivedFromCloudEvent,
  receivedFromStructuredCloudEvent,
  structuredCloudEvent,
} from './cloud-event.ts'
export { type ReceivedEntry, receivedEntry, type WireField, wireFields } from './fields.ts'
export { decodeHeaderValue, encodeHeaderValue } from './header-value.ts'
