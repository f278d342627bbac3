import { MongoClient } from 'mongodb'
import type { Wanted } from './installed.ts'
import { launch, type OwnServer } from './own-server.ts'
import { programOf } from './program-of.ts'

export interface StartMongoOptions extends Wanted {
  /** options of the launcher, such as `['--no-change-streams']` */
  readonly options?: readonly string[]
  /** default false, which is faster; true for a server that is to be killed while it writes, or its indexes break */
  readonly isDurable?: boolean
}

/** Starts a server of the test's own that speaks MongoDB's protocol, the one member of a replica set. */
export async function startMongo({
  options = [],
  isDurable = false,
  ...wanted
}: StartMongoOptions = {}): Promise<OwnServer> {
  return launch({
    title: 'DocumentDB',
    version: 'in place of MongoDB',
    program: programOf('mongo', wanted),
    programArguments: (port, directory) => [
      ...['--port', String(port), '--dir', directory, ...options],
      ...(isDurable ? [] : ['--no-fsync']),
    ],
    url: mongoUrl,
    answers: (port) => answers(mongoUrl(port)),
    stopSignal: 'SIGTERM',
  })
}

function mongoUrl(port: number): string {
  return `mongodb://127.0.0.1:${port}/?replicaSet=rs0`
}

async function answers(url: string): Promise<boolean> {
  const client = new MongoClient(url, { serverSelectionTimeoutMS: 500 })
  try {
    await client.db('admin').command({ ping: 1 })
    return true
  } catch {
    return false
  } finally {
    await client.close()
  }
}
