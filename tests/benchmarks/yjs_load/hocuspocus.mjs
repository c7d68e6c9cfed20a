// The Hocuspocus server as it comes, in memory: node hocuspocus.mjs PORT

import { Server } from '@hocuspocus/server'

const server = new Server({ port: Number(process.argv[2]), quiet: true, stopOnSignals: true })
await server.listen()
console.log('ready')
