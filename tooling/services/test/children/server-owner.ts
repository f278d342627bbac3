import { startRedis } from '../../src/index.ts'

// starts a server and leaves it to the watchdog
const server = await startRedis()
process.stdout.write(`${JSON.stringify({ port: server.port, directory: server.directory })}\n`)
setInterval(() => {}, 1000)
