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
  const app = fastify()
  app.post<{ Body: WantedOrder }>('/orders', { schema: { body: wantedOrder } }, async (request, reply) => {
    reply.code(201)
    return orders.place(request.body)
  })
  return app
}
