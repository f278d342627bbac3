import type { DemoOptions } from './options.ts'

/** A database of the demo's own on the user's PostgreSQL, dropped at the end. */
export async function createDatabase(run: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const { default: pg } = await import('pg')
  const base = process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
  const name = `outbox_demo_${run}`
  const administer = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: base })
    await client.connect()
    try {
      await client.query(statement)
    } finally {
      await client.end()
    }
  }
  await administer(`create database ${name}`)
  const url = new URL(base)
  url.pathname = `/${name}`
  return {
    url: url.href,
    [Symbol.asyncDispose]: () => administer(`drop database ${name} with (force)`),
  }
}

export function brokerUrl({ broker }: DemoOptions): string {
  if (broker === 'redis') return process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379'
  if (broker === 'nats') return process.env['NATS_URL'] ?? 'nats://127.0.0.1:4222'
  return ''
}
