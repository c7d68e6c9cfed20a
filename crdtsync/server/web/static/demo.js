// The page /demo: a board that other windows and Python replicas edit too.
//
// The text is a Y.Text, everything else are fields: see docs/yjs.md. What is done off line is kept in
// the browser, and sent when the server is back.

import { bind } from './binding.js'
import { Fields, path } from './crdtsync-fields.js'
import { IndexeddbPersistence, WebsocketProvider, Y } from './yjs.js'

const NAMES = ['Ada', 'Alan', 'Barbara', 'Edsger', 'Frances', 'Grace', 'John', 'Katherine', 'Leslie', 'Niklaus']
const TITLE = 'title'
const ITEMS = 'items'

const at = id => document.getElementById(id)
const asked = new URLSearchParams(location.search)
const name = asked.get('document') || 'demo'
const user = asked.get('user') || remembered()
const here = location.href.split(/[?#]/)[0]

const doc = new Y.Doc()
const fields = new Fields(doc)
const notes = doc.getText('notes')
let provider = null
let waiting = 0

function remembered () {
  const drawn = NAMES[Math.floor(Math.random() * NAMES.length)]
  try {
    return (localStorage['crdtsync-user'] ??= drawn)
  } catch { // the browser keeps nothing
    return drawn
  }
}

function el (kind, attributes = {}, ...content) {
  const made = document.createElement(kind)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...content)
  return made
}

// --- the board -------------------------------------------------------------------------------------

/** Shows a value in a field, unless somebody is typing another one into it. */
function put (input, value) {
  if (input.value === (input.dataset.shown ?? '')) input.value = value
  input.dataset.shown = value
}

function write (input, ...segments) {
  const written = input.value.trim()
  if (written !== input.dataset.shown) {
    input.dataset.shown = input.value = written
    fields.set(path(...segments), written)
  }
}

/** Writes a field when its input is left, or by Enter; Escape takes back what was typed. */
function keep (input, ...segments) {
  input.addEventListener('change', () => write(input, ...segments))
  input.addEventListener('keydown', event => {
    if (event.isComposing) return
    if (event.key === 'Enter') write(input, ...segments)
    if (event.key === 'Escape') input.value = input.dataset.shown ?? ''
  })
}

function showTitle () {
  put(at('title'), fields.get(TITLE) ?? '')
  const candidates = fields.candidates(TITLE)
  const choices = at('choices')
  const values = candidates.map(({ value }) => String(value))
  const shown = JSON.stringify(values)
  if (choices.dataset.shown === shown) return
  choices.dataset.shown = shown
  choices.replaceChildren()
  if (values.length < 2) return
  choices.append('Several titles were given at the same time. Which one is it? ', el('br'))
  for (const value of new Set(values)) {
    const button = el('button', { type: 'button' }, value || 'Untitled')
    button.addEventListener('click', () => { fields.set(TITLE, value); at('title').focus() })
    choices.append(button)
  }
}

function itemRow (key) {
  const done = el('input', { type: 'checkbox' })
  const title = el('input', { autocomplete: 'off', 'aria-label': 'What is to be done' })
  const remove = el('button', { type: 'button' }, '✕')
  const row = el('li', {}, el('label', {}, done), title, remove)
  row.dataset.key = key
  keep(title, ITEMS, key, 'title')
  done.addEventListener('change', () => fields.set(path(ITEMS, key, 'done'), done.checked))
  remove.addEventListener('click', () => {
    const beside = row.nextElementSibling ?? row.previousElementSibling
    const next = beside?.querySelector('button') ?? at('new')
    fields.deleteRecord(ITEMS, key)
    next.focus()
  })
  return row
}

function showItem (row) {
  const [done, title, remove] = row.querySelectorAll('input, button')
  const [text, isDone] = ['title', 'done'].map(each => fields.get(path(ITEMS, row.dataset.key, each)))
  put(title, text ?? '')
  done.checked = isDone === true
  done.setAttribute('aria-label', `${text ?? ''}: done`)
  remove.setAttribute('aria-label', `Remove ${text ?? ''}`)
  remove.title = 'Remove'
  row.classList.toggle('done', isDone === true)
}

function showItems () {
  const [list, keys] = [at('items'), fields.records(ITEMS)]
  const rows = new Map([...list.children].map(row => [row.dataset.key, row]))
  let next = list.firstElementChild
  for (const key of keys) {
    const row = rows.get(key) ?? itemRow(key)
    rows.delete(key)
    if (row === next) next = row.nextElementSibling
    else list.insertBefore(row, next)
    showItem(row)
  }
  for (const row of rows.values()) row.remove()
  at('empty').hidden = keys.length > 0
}

function add (event) {
  event.preventDefault()
  const title = at('new').value.trim()
  if (!title) return
  const random = [...crypto.getRandomValues(new Uint8Array(8))].map(each => each.toString(16).padStart(2, '0'))
  const key = Date.now().toString(16).padStart(12, '0') + random.join('') // keys sort by time
  fields.set(path(ITEMS, key, 'title'), title)
  at('new').value = ''
}

// --- the text --------------------------------------------------------------------------------------

function bindNotes () {
  const area = at('notes')
  bind(notes, area)
  const undo = new Y.UndoManager(notes, { trackedOrigins: new Set([area]) })
  area.addEventListener('keydown', event => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return
    const key = event.key.toLowerCase()
    const redo = key === 'y' || (key === 'z' && event.shiftKey)
    if (!redo && key !== 'z') return
    event.preventDefault()
    if (redo) undo.redo()
    else undo.undo()
  })
}

// --- the connection --------------------------------------------------------------------------------

function showState () {
  const shown = at('state')
  const off = !provider.shouldConnect
  const [kind, text] = provider.synced
    ? ['good', 'live']
    : ['warn', off ? 'off line' : 'no server']
  const left = waiting ? `: ${waiting} ${waiting === 1 ? 'change waits' : 'changes wait'}` : ''
  const said = provider.synced ? text : text + left
  shown.className = `state ${kind}`
  if (shown.textContent !== said) shown.textContent = said
  at('offline').setAttribute('aria-pressed', String(off))
}

function showPeople () {
  const states = [...provider.awareness.getStates()]
  const people = states.filter(([, { user }]) => typeof user?.name === 'string').map(([id, { user }]) =>
    user.name.slice(0, 40) + (id === doc.clientID ? ' (you)' : ''))
  const mine = each => each.endsWith(' (you)')
  people.sort((a, b) => mine(b) - mine(a) || a.localeCompare(b))
  at('people').replaceChildren(...people.slice(0, 50).map(each => el('li', {}, each)))
}

/** Forgets how often others have shown themselves, so that they are there again after a cut. */
function forgetOthers () {
  const { meta, states } = provider.awareness
  for (const id of meta.keys()) if (!states.has(id)) meta.delete(id)
}

function refuse (code, reason) {
  if (code === 4401 && !at('sign-in').hidden) return
  const again = code === 4401 ? 'Sign in again.' : 'Reload the page to begin with what the server has.'
  at('problem').textContent = `The server does not let this window in: ${reason || code}. ${again}`
  at('problem').hidden = false
}

function connect (params) {
  const url = new URL('yjs', here)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  // Windows of one browser meet at the server only, so that being off line is what it says.
  provider = new WebsocketProvider(url.href, encodeURIComponent(name), doc, { params, disableBc: true })
  provider.awareness.setLocalStateField('user', { name: user })
  provider.awareness.on('change', showPeople)
  provider.on('status', ({ status }) => {
    if (status === 'disconnected') forgetOthers()
    showState()
  })
  provider.on('sync', synced => {
    if (synced) waiting = 0
    showState()
  })
  provider.on('connection-close', event => {
    if (event && event.code >= 4400 && event.code < 4500) refuse(event.code, event.reason)
    showState()
  })
  doc.on('update', (_update, _origin, _doc, { local }) => {
    if (local && !provider.synced) {
      waiting++
      showState()
    }
  })
  for (const input of document.querySelectorAll('#board :disabled')) input.disabled = false
  showPeople()
  showState()
}

async function begin () {
  let server
  try {
    const response = await fetch('demo/server')
    if (!response.ok) throw new Error(await response.text())
    server = await response.json()
  } catch {
    at('state').className = 'state warn'
    at('state').textContent = 'no server'
    setTimeout(begin, 2000)
    return
  }
  if (server.development) {
    // Only its own user may send what a window has left behind, and only to where it was written.
    if (globalThis.indexedDB) new IndexeddbPersistence(`crdtsync-demo ${server.epoch} ${user} ${name}`, doc)
    connect({ user })
    return
  }
  at('sign-in').hidden = false
  at('board').hidden = true
  at('token').focus()
}

function signIn (event) {
  event.preventDefault()
  at('sign-in').hidden = true
  at('board').hidden = false
  connect({ token: at('token').value })
  at('token').value = ''
}

// --- the page --------------------------------------------------------------------------------------

function showScript () {
  const url = here.replace(/^http/, 'ws').replace(/\/demo$/, '')
  at('script').textContent = `import anyio

from crdtsync import Document, Record, Replica, Table, Text, field
from crdtsync.strategies import KeepAll


class Item(Record):
    title: str = ""
    done: bool = False


class Board(Document):
    title: str = field(default="Untitled", strategy=KeepAll())
    items: Table[Item]
    notes: Text


async def main():
    with Replica("python.db", user="python") as replica:
        board = replica.document(Board, ${JSON.stringify(name)})
        async with replica.connect(${JSON.stringify(url)}):
            board.items.add(title="Written in Python")
            async for change in board.changes():
                print(change.origin, board.to_dict())


anyio.run(main)
`
}

async function copy () {
  let said = 'Copied.'
  try {
    await navigator.clipboard.writeText(at('script').textContent)
  } catch {
    getSelection().selectAllChildren(at('script'))
    said = 'Selected: copy it with the keyboard.'
  }
  at('copied').textContent = said
}

at('user').value = user
at('document').value = name
const other = NAMES[(NAMES.indexOf(user) + 1) % NAMES.length]
at('second').href = `demo?${new URLSearchParams({ user: other, document: name })}`
at('second').textContent = `Open a second window as ${other}`
showScript()
bindNotes()
keep(at('title'), TITLE)
fields.observe(() => { showTitle(); showItems() })
at('add').addEventListener('submit', add)
at('sign-in').addEventListener('submit', signIn)
at('copy').addEventListener('click', copy)
at('offline').addEventListener('click', () => {
  if (provider === null) return
  if (provider.shouldConnect) provider.disconnect()
  else provider.connect()
  showState()
})
begin()
