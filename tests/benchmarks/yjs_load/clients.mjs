// Stock clients that all edit: node clients.mjs y|hocuspocus URL ROOMS CLIENTS EDITS PACE_MS
//
// CLIENTS in each of ROOMS rooms write EDITS single characters each, PACE_MS apart (0: in one go).
// Prints as JSON how long it took from the first edit until all of a room were equal, and how many
// messages with changes came in.

import * as Y from 'yjs'
import { WebsocketProvider } from 'y-websocket'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import WebSocket from 'ws'

const [kind, url, ...numbers] = process.argv.slice(2)
const [rooms, clientsPerRoom, edits, pace] = numbers.map(Number)
const run = Math.random().toString(36).slice(2)

let messages = 0
class Counted extends WebSocket {
  constructor (...args) {
    super(...args)
    this.on('message', data => { if (isUpdate(data)) messages++ })
  }
}

function isUpdate (data) {
  const at = kind === 'y' ? 0 : 1 + data[0] // behind the address, which is short
  return data[at] === 0 && data[at + 1] === 2
}

function connect (room) {
  const doc = new Y.Doc()
  if (kind === 'y') {
    const provider = new WebsocketProvider(url, room, doc,
      { WebSocketPolyfill: Counted, disableBc: true })
    return { doc, ready: () => provider.synced, end: () => provider.destroy() }
  }
  const socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: Counted })
  const provider = new HocuspocusProvider(
    { name: room, document: doc, websocketProvider: socket, token: 'load' })
  provider.attach()
  return { doc, ready: () => provider.isSynced, end: () => { provider.destroy(); socket.destroy() } }
}

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
async function until (condition) {
  for (const end = Date.now() + 45000; !condition(); await sleep(2)) {
    if (Date.now() > end) { console.log(JSON.stringify({ failed: true })); process.exit(1) }
  }
}

const groups = Array.from({ length: rooms }, (_, n) =>
  Array.from({ length: clientsPerRoom }, () => connect(`${run}-${n}`)))
const all = groups.flat()
const joining = Date.now()
await until(() => all.every(client => client.ready()))
const joined = Date.now() - joining
await sleep(500)
messages = 0
process.stdout.write(JSON.stringify({ joined }) + '\n')
await new Promise(resolve => process.stdin.once('data', resolve))

const began = Date.now()
for (let edit = 0; edit < edits; edit++) {
  for (const { doc } of all) doc.getText('t').insert(0, 'x')
  if (pace) await sleep(pace)
}
const length = clientsPerRoom * edits
await until(() => all.every(({ doc }) => doc.getText('t').length === length))
const took = Date.now() - began
await sleep(200)
process.stdout.write(JSON.stringify({ took, messages }) + '\n')
process.exit(0)
