import { setTimeout as wait } from 'node:timers/promises'
import type { Fault } from '../faults.ts'
import { defaultTimes, timing } from '../lab.ts'
import { strike, tells } from '../struck.ts'

/** What happens to the processes themselves, and to their clocks. */
export const processFaults: readonly Fault[] = [
  {
    name: 'relay-sigkill',
    what: 'a relay is killed (SIGKILL), again and again',
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < 2 * rounds; round++) {
        await wait(200 + 600 * Math.random())
        await notes.kill(lab, await lab.aRelay())
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'relay-sigkill-defaults',
    what: 'a relay is killed (SIGKILL), again and again; the relays have the times that they have by default, a lease of 10 s',
    lab: () => ({ times: defaultTimes }),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        await wait(500 + 1_000 * Math.random())
        await notes.kill(lab, await lab.aRelay())
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'relay-sigstop',
    what: 'a relay is stopped (SIGSTOP) for longer than its lease, and goes on',
    struck: tells('leasesLost'),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        const relay = await lab.aRelay()
        relay.pause()
        await wait(2 * timing.leaseMs)
        relay.continue()
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'relay-sigterm',
    what: 'a relay is told to end (SIGTERM), another takes its place',
    isClean: true,
    lab: () => ({ times: defaultTimes }), // with short ones a slow machine repeats, and loses leases
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        lab.addRelay()
        await lab.removeRelay()
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'sigterm-in-outage',
    what: 'a relay is told to end (SIGTERM) while the way to the broker, or to the database, swallows everything',
    struck: tells('destinationDown', 'storeDown'),
    async inflict(lab, notes, rounds) {
      const proxies = [lab.brokerProxy, ...(lab.databaseProxy ? [lab.databaseProxy] : [])]
      for (let round = 0; round < rounds; round++) {
        const proxy = proxies[round % proxies.length] ?? lab.brokerProxy
        strike(proxy, () => proxy.blackHole())
        await wait(timing.leaseMs)
        lab.addRelay()
        await lab.removeRelay()
        proxy.reset()
        proxy.heal()
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'relays-come-and-go',
    what: 'relays join and leave all the time, 3 to 6 of them',
    isClean: true,
    lab: () => ({ times: defaultTimes }),
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < rounds; round++) {
        for (let more = 0; more < 3; more++) lab.addRelay()
        await wait(1_000)
        for (let less = 0; less < 3; less++) await lab.removeRelay()
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'twenty-relays',
    what: 'twenty relays with default times share one store, and lose five',
    lab: () => ({ relays: 20, times: defaultTimes }),
    async inflict(lab, notes) {
      await wait(3_000)
      await Promise.all(lab.relays.slice(0, 5).map((relay) => notes.kill(lab, relay)))
      await notes.recovery(lab)
    },
  },
  {
    name: 'producer-sigkill',
    what: 'a producer is killed in the middle of its work',
    async inflict(lab, notes, rounds) {
      for (let round = 0; round < 2 * rounds; round++) {
        await wait(300 * Math.random())
        await notes.kill(lab, lab.aProducer())
        await notes.recovery(lab)
      }
    },
  },
  {
    name: 'deadly-entry',
    what: 'publishing one entry kills the process',
    lab: () => ({
      special: { type: 'order.deadly', payloadBytes: 10 },
      relayFault: { kind: 'die', eventType: 'order.deadly' },
    }),
    deadLetters: 1,
    isDeadly: true,
    async inflict(lab, notes) {
      const deadline = performance.now() + 90_000
      while ((await lab.shop.outbox.stats()).dead === 0) {
        if (performance.now() > deadline) throw new Error('the deadly entry has not become a dead letter')
        await wait(100)
      }
      await notes.recovery(lab)
    },
  },
]
