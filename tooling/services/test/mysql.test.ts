import { createConnection } from 'mysql2/promise'
import { expect, it } from 'vitest'
import { createMysqlDatabase, describeWith, type OwnServer, startMariadb, startMysql } from '../src/index.ts'

async function versionAt(url: string): Promise<string> {
  const connection = await createConnection(url)
  const [rows] = await connection.query('select version() as version, database() as name')
  await connection.end()
  return JSON.stringify(rows)
}

async function keepsWhatItHas(server: OwnServer): Promise<void> {
  const database = await createMysqlDatabase(server.url)
  await server.kill()
  await expect(versionAt(database.url)).rejects.toThrow('ECONNREFUSED')
  await server.restart()
  expect(await versionAt(database.url)).toContain(database.name)
  await database[Symbol.asyncDispose]()
  await expect(versionAt(database.url)).rejects.toThrow('Unknown database')
}

describeWith({ own: 'mysql' }, 'a MySQL of the test’s own', () => {
  it('is no MariaDB, and comes back with what it had after a kill', async () => {
    await using server = await startMysql()
    expect(await versionAt(server.url)).not.toContain('MariaDB')
    await keepsWhatItHas(server)
  })
})

describeWith({ own: 'mariadb' }, 'a MariaDB of the test’s own', () => {
  it('is one, and comes back with what it had after a kill', async () => {
    await using server = await startMariadb()
    expect(await versionAt(server.url)).toContain('MariaDB')
    await keepsWhatItHas(server)
  })
})
