// Stock Yjs clients, told by a test what to do: each line that comes in is the body of an async
// function, as JSON; the line that goes out is what it returned, or its error.
// node peer.mjs PACKAGE, which is the one that has the Hocuspocus provider.

import { createInterface } from 'node:readline'
import * as Y from 'yjs'
import { WebsocketProvider } from 'y-websocket'
import WebSocket from 'ws'
import * as fields from './crdtsync-fields.js'

const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import(process.argv[2])

const AsyncFunction = (async () => {}).constructor

async function until (condition, what = condition.toString()) {
  for (let waited = 0; !(await condition()); waited += 5) {
    if (waited > 20000) throw new Error('it never came true: ' + what)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** JSON with the keys of objects in order: servers do not keep theirs. */
function canonical (value) {
  return JSON.stringify(value, (_, part) => part?.constructor === Object
    ? Object.fromEntries(Object.entries(part).sort())
    : part)
}

/** A client of y-websocket: { doc, provider, closed }. */
function join (url, room, params = {}, options = {}) {
  const doc = options.doc ?? new Y.Doc()
  const provider = new WebsocketProvider(url, room, doc, {
    WebSocketPolyfill: WebSocket, params, disableBc: true, ...options
  })
  const client = { doc, provider, closed: null, tries: 0 }
  provider.on('closed', event => { client.closed = event })
  provider.on('connection-close', () => { client.tries++ })
  return client
}

/** A client of Hocuspocus: { doc, provider, failed, stateless }. */
function open (url, name, options = {}) {
  const doc = options.document ?? new Y.Doc()
  const client = { doc, failed: null, stateless: [] }
  const socket = options.websocketProvider ??
    new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket, delay: 50, minDelay: 50 })
  client.socket = socket
  client.provider = new HocuspocusProvider({
    name,
    token: 'ann',
    onAuthenticationFailed: ({ reason }) => { client.failed = reason },
    onStateless: ({ payload }) => { client.stateless.push(payload) },
    ...options,
    document: doc,
    websocketProvider: socket
  })
  client.provider.attach?.() // version 2 does it by itself
  return client
}

const scope = {
  Y, WebsocketProvider, HocuspocusProvider, HocuspocusProviderWebsocket, WebSocket,
  until, canonical, join, open, fields, kept: {}
}
const names = Object.keys(scope)

console.warn = () => {} // providers warn where they are refused, which is tested otherwise

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const body = new AsyncFunction(...names, JSON.parse(line))
    answer = { value: (await body(...names.map(name => scope[name]))) ?? null }
  } catch (error) {
    answer = { error: String(error.stack ?? error) }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
process.exit(0)
