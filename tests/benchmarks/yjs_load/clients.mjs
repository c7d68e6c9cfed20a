// Stock clients that all edit: node clients.mjs y|hocuspocus URL ROOMS CLIENTS EDITS PACE_MS
//
// CLIENTS in each of ROOMS rooms write EDITS single characters each, PACE_MS apart (0: in one go).
// Prints as JSON how long it took from the first edit until all of a room were equal, and how many
// messages came in, and how many of them had changes.

import * as Y from 'yjs'
import { WebsocketProvider } from 'y-websocket'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import WebSocket from 'ws'
import process from 'node:process'

process.setMaxListeners(0) // each client has one for the process's end

const [kind, url, ...numbers] = process.argv.slice(2)
const [rooms, clientsPerRoom, edits, pace] = numbers.map(Number)
const run = Math.random().toString(36).slice(2)

let messages = 0
let updates = 0
class Counted extends WebSocket {
  constructor (...args) {
    super(...args)
    this.on('message', data => {
      messages++
      if (isUpdate(data)) updates++
    })
  }
}

function isUpdate (data) {
  const bytes = new Uint8Array(data)
  const at = kind === 'y' ? 0 : 1 + bytes[0] // behind the address, which is short
  return bytes[at] === 0 && bytes[at + 1] === 2
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

// The first of each room is let in before the others come: in pycrdt-websocket nobody gets in who
// comes with it.
const joining = Date.now()
const all = Array.from({ length: rooms }, (_, n) => connect(`${run}-${n}`))
await until(() => all.every(client => client.ready()))
for (let n = 0; n < rooms; n++) {
  for (let other = 1; other < clientsPerRoom; other++) all.push(connect(`${run}-${n}`))
}
await until(() => all.every(client => client.ready()))
const joined = Date.now() - joining
await sleep(500)
messages = updates = 0
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
process.stdout.write(JSON.stringify({ took, messages, updates }) + '\n')
// They stay, until they are killed: what a server does when they leave is no part of this.
