import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'

/** PGlite, which is one process's, served to the others over a socket of PostgreSQL's protocol. */
export async function serveEmbeddedPostgres(
  directory: string,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const database = await PGlite.create(join(directory, 'pgdata'))
  const server = new PGLiteSocketServer({ db: database, port: 0, host: '127.0.0.1', maxConnections: 32 })
  await server.start()
  return {
    url: `postgres://postgres@${server.getServerConn()}/postgres?sslmode=disable`,
    async [Symbol.asyncDispose]() {
      await server.stop()
      await database.close()
    },
  }
}
