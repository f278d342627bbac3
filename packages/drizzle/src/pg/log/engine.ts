/**
 * How an outbox knows what is published.
 *
 * - `mark`: each entry is marked. One table, which PostgreSQL has to clean up behind it.
 * - `log`: entries are appended to a log, and cursors move over it. Nothing is written per entry that goes well, and old
 *   entries go by truncating; for those who have real volume.
 */
export type Engine = 'mark' | 'log'
