// A Hocuspocus server that stores in SQLite: node hocuspocus.mjs SERVER DATABASE PORT FILE
//
// SERVER and DATABASE are the packages of one version. What is stored, and when, are theirs; only
// that the SQLite is Node's own, for which nothing has to be compiled.

import { DatabaseSync } from 'node:sqlite'

const [server, database, port, file] = process.argv.slice(2)
const { Server } = await import(server)
const { Database } = await import(database)

const sqlite = new DatabaseSync(file)
sqlite.exec('CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, data BLOB NOT NULL)')
const select = sqlite.prepare('SELECT data FROM documents WHERE name = ?')
const upsert = sqlite.prepare('INSERT INTO documents VALUES (?, ?) ' +
  'ON CONFLICT (name) DO UPDATE SET data = excluded.data')

const storing = new Database({
  fetch: async ({ documentName }) => select.get(documentName)?.data ?? null,
  store: async ({ documentName, state }) => { upsert.run(documentName, state) }
})
await new Server({ port: Number(port), quiet: true, extensions: [storing] }).listen()
console.log('ready')
