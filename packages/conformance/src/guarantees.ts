/** The sections of docs/guarantees.md that checks hold an adapter to, by the anchors under which they are shown. */
export const guarantees = [
  'delivery',
  'transactions',
  'duplicates',
  'sequences',
  'order',
  'fairness',
  'leases',
  'repeats',
  'failure',
  'dead-letters',
  'exactness',
  'limits',
  'cancellation',
  'purge',
  'stats',
  'waking-up',
  'inbox',
  'set-up',
] as const

export type Guarantee = (typeof guarantees)[number]
