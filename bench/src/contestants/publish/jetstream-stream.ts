import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Setting } from '../../contestant.ts'

/** An empty stream on disk with a window for duplicates, and how many of the messages are missing. */
export async function openJetStream({ brokerUrl, rows }: Setting) {
  const connection = await connect({ servers: brokerUrl })
  const manager = await jetstreamManager(connection)
  const name = 'bench'
  for await (const { config } of manager.streams.list()) await manager.streams.delete(config.name)
  await manager.streams.add({ name, subjects: [`${name}.>`], duplicate_window: 120_000_000_000 })
  return { connection, name, left: async () => rows - (await manager.streams.info(name)).state.messages }
}
