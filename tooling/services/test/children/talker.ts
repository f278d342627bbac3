import { createInterface } from 'node:readline'

// says what it is, then says back each message, until it is told to end
process.stdout.write('not a message\n')
process.stdout.write(`${JSON.stringify({ node: process.versions.node, args: process.argv.slice(2) })}\n`)
createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === '"end"') process.exit(3)
  process.stdout.write(`${JSON.stringify({ heard: JSON.parse(line) })}\n`)
})
