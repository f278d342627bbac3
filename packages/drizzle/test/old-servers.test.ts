import { expect, test } from 'vitest'
import { missingStructure as missingOnMysql, outboxSubject as mysqlSubject } from '../src/mysql/check.ts'
import { namesIn as mysqlNames } from '../src/mysql/names.ts'
import type { Session as MysqlSession } from '../src/mysql/session.ts'
import { missingStructure as missingOnPg, outboxSubject as pgSubject } from '../src/pg/check.ts'
import { namesIn as pgNames } from '../src/pg/names.ts'

/** No server this old is at hand, so what it would answer is put into its mouth. */

test('a PostgreSQL that is too old is named, with the oldest that will do', async () => {
  const answer = async () => [{ server: 12 }]
  const session = { run: answer, runInlined: answer }
  await expect(missingOnPg(session, pgSubject(pgNames()))).rejects.toMatchObject({
    code: 'setup-required',
    details: { missing: ['PostgreSQL 13 or newer; this is 12'] },
  })
})

test.each(['5.7.44-log', '8.0.12', '10.5.23-MariaDB', '8.0.11-TiDB-v7.5.0'])(
  'MySQL %s is refused, with the oldest that will do',
  async (version) => {
    await expect(missingOnMysql(speaking(version), mysqlSubject(mysqlNames()))).rejects.toMatchObject({
      code: 'setup-required',
      details: { missing: [`MySQL 8.0.13 or newer, or MariaDB 10.6 or newer; this is ${version}`] },
    })
  },
)

test.each(['8.0.13', '8.4.0', '9.7.4', '10.6.0-MariaDB', '11.4.2-MariaDB-log'])(
  'MySQL %s is not: the next question is asked',
  async (version) => {
    await expect(missingOnMysql(speaking(version), mysqlSubject(mysqlNames()))).rejects.toThrow('the next question')
  },
)

function speaking(version: string): MysqlSession {
  const answers = [[{ version, commits: 1, selected: 'app' }]]
  return {
    read: async () => {
      const answer = answers.shift()
      if (!answer) throw new Error('the next question')
      return answer
    },
    write: () => Promise.reject(new Error('a check writes nothing')),
  }
}
