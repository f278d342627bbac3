import { type FastifyInstance, fastify } from 'fastify'
import type { Orders, WantedOrder } from './orders.ts'

const wantedOrder = {
  type: 'object',
  required: ['article', 'cents'],
  additionalProperties: false,
  properties: { article: { type: 'string', minLength: 1 }, cents: { type: 'integer', minimum: 1 } },
} as const

/** The HTTP side. It knows neither the outbox nor the relay: an order that is answered has its event. */
export function buildApp(orders: Orders): FastifyInstance {
  const app = fastify({ requestTimeout: 10_000 }) // Fastify's default is to wait for ever for the rest of a request
  app.post<{ Body: WantedOrder }>('/orders', { schema: { body: wantedOrder } }, async (request, reply) => {
    reply.code(201)
    return orders.place(request.body)
  })
  return app
}

/** Takes no new request and answers those that are under way; what is not answered after `limitMs` is cut off. */
export async function closeApp(app: FastifyInstance, limitMs: number): Promise<void> {
  const cutOff = setTimeout(() => app.server.closeAllConnections(), limitMs)
  try {
    await app.close()
  } finally {
    clearTimeout(cutOff)
  }
}
