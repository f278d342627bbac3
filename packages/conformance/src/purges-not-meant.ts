/** Requests that would delete nothing for ever, or at once what should stay: a program in JavaScript may make them. */
export const purgesNotMeant: readonly unknown[] = [
  undefined,
  { limit: 10 },
  { olderThanMs: undefined, limit: 10 },
  { olderThanMs: Number.NaN, limit: 10 },
  { olderThanMs: -1, limit: 10 },
  { olderThanMs: '0', limit: 10 },
  { olderThanMs: 0 },
  { olderThanMs: 0, limit: 0 },
  { olderThanMs: 0, limit: -1 },
  { olderThanMs: 0, limit: 0.5 },
  { olderThanMs: 0, limit: Number.NaN },
  { olderThanMs: 0, limit: '10' },
]
