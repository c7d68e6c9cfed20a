export * as Y from 'yjs'
export { IndexeddbPersistence } from 'y-indexeddb'
export { WebsocketProvider } from 'y-websocket'
