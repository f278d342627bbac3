import { describePublisher } from '@outbox/conformance'
import { aggregateKey } from '@outbox/core/adapter'
import { Broker } from '../src/broker.ts'
import { readAll } from '../src/consumer.ts'
import { httpPublisher } from '../src/publisher.ts'

// #region harness
describePublisher('own publisher', {
  capabilities: {
    deduplicates: true,
    limitsPayload: true,
    fences: true,
    fencesPartitions: true,
    probes: true,
    refuses: true,
    outage: true,
    silence: true,
  },
  async open() {
    const broker = new Broker()
    await broker.start()
    const { url } = broker
    return {
      publisher: httpPublisher({ url }),
      peer: async () => httpPublisher({ url }),
      received: () => readAll(url),
      refuse: (aggregateId) => broker.refuse(aggregateKey({ aggregateType: 'order', aggregateId })),
      async outage() {
        await broker.stop()
        return () => broker.start()
      },
      silence: () => broker.fallSilent(),
      close: () => broker[Symbol.asyncDispose](),
    }
  },
})
// #endregion
