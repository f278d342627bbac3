import { type BrokerKind, brokerArena, startBroker } from '../arenas/broker.ts'
import { race } from '../race.ts'
import { type Heat, ratioGoal, type Scenario, type ScenarioOptions } from '../scenario.ts'
import { rateOf } from '../statistics.ts'

const meetings: readonly { readonly kind: BrokerKind; readonly title: string; readonly contestants: string[] }[] = [
  { kind: 'redis', title: 'to Redis Streams', contestants: ['publish/redis-outbox', 'publish/redis-multi'] },
  { kind: 'nats', title: 'to JetStream', contestants: ['publish/jetstream-outbox', 'publish/jetstream-js-publish'] },
]

export const publish: Scenario = {
  title: 'Publish alone',
  about: 'Entries that stand ready in memory go to the broker, which drops repeats: the cost of the way to the broker.',
  async run(options) {
    const heats: Heat[] = []
    for (const meeting of meetings) heats.push(await heat(meeting, options))
    return heats
  },
  goals(heats) {
    const rate = (name: string) =>
      heats.map(({ entrants }) => rateOf(entrants, name)).find((found) => found !== undefined)
    return [
      ratioGoal(
        'publish, JetStream: ≥ 2.5 × js.publish with 100 in flight',
        [rate('publish/jetstream-outbox'), rate('publish/jetstream-js-publish')],
        { atLeast: 2.5 },
      ),
      ratioGoal(
        'publish, Redis: ≥ 1.0 × a plain MULTI of the same messages',
        [rate('publish/redis-outbox'), rate('publish/redis-multi')],
        { atLeast: 1 },
      ),
    ]
  },
}

async function heat(
  { kind, title, contestants }: (typeof meetings)[number],
  { rounds, scale, isIsolated, note }: ScenarioOptions,
): Promise<Heat> {
  await using broker = await startBroker(kind)
  const rows = Math.round(100_000 * scale)
  const setting = { rows, aggregates: 1000, payloadBytes: 480, brokerUrl: broker.server.url }
  const entrants = await race({ arena: brokerArena(broker), contestants, setting, rounds, isIsolated, note })
  return { name: kind, title, setting: `${broker.description}; ${rows} messages of 1,000 aggregates`, entrants }
}
