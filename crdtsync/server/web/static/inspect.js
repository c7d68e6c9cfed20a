// The page /inspect: fetches what there is, and follows what happens.
// Everything is put into the page as text; nothing that a document says is taken for markup.

const LIVE_MAX = 200
const PAUSE_MS = 500
const API = 'inspect/api/'

const at = id => document.getElementById(id)
const state = { paused: false, arrived: 0, name: null, newest: 0, before: null, events: null }

/** Makes an element: el('td', { class: 'number' }, 'text', child) */
function el (name, attributes = {}, ...content) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? '' : value)
  }
  made.append(...content.filter(each => each !== null))
  return made
}

const counted = (count, one, many = one + 's') => `${count.toLocaleString()} ${count === 1 ? one : many}`
const named = ({ user, replica }) => user ?? (replica ? `replica ${replica.slice(-6)}` : 'unknown')

/** Runs a task when it is asked for, but never twice at once and not too often. */
function throttled (task) {
  let [busy, again] = [false, false]
  return async function run () {
    if (busy) { again = true; return }
    busy = true
    try { await task() } catch (error) { failed(error) }
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    busy = false
    if (again) { again = false; run() }
  }
}

class Answer extends Error {
  constructor (status, reason) {
    super(reason)
    this.status = status
  }
}

async function ask (path, parameters = {}) {
  const response = await fetch(`${API}${path}?${new URLSearchParams(parameters)}`)
  if (!response.ok) throw new Answer(response.status, (await response.text()).trim())
  return response.json()
}

function failed (error) {
  if (error.status === 401) showSignIn()
  else if (error instanceof Answer) setState('warn', error.message)
}

function setState (kind, text) {
  const shown = at('state')
  if (shown.textContent === text) return
  shown.className = `state ${kind}`
  shown.textContent = text
}

// --- documents -------------------------------------------------------------------------------------

const showDocuments = throttled(async () => {
  const { total, documents } = await ask('documents', { like: at('like').value })
  at('documents-count').textContent = total.toLocaleString()
  reconcile(at('documents'), documents, ({ name }) => name, documentRow)
  at('documents-note').textContent = total === 0
    ? (at('like').value ? 'No document has such a name.' : 'No document yet. The demo board makes one.')
    : total > documents.length ? `${counted(total - documents.length, 'more')}: find them by name.` : ''
})

function documentRow ({ name, entries, replicas, connections }) {
  const button = el('button', { type: 'button', 'aria-current': name === state.name ? 'true' : null },
    el('span', { class: 'name' }, name),
    el('span', { class: 'note' }, `${counted(entries, 'entry', 'entries')} of ${counted(replicas, 'replica')}`),
    connections ? el('span', { class: 'count open' }, `${connections} here`) : null)
  button.addEventListener('click', () => { location.hash = new URLSearchParams({ document: name }) })
  return el('li', {}, button)
}

/** Shows rows in a list, and leaves those alone that stay as they are, with the focus in them. */
function reconcile (list, items, keyOf, make) {
  const old = new Map([...list.children].map(child => [child.dataset.key, child]))
  let next = list.firstElementChild
  for (const item of items) {
    const [key, data] = [keyOf(item), JSON.stringify(item)]
    let row = old.get(key)
    old.delete(key)
    if (row === undefined || row.dataset.data !== data) {
      const made = make(item)
      Object.assign(made.dataset, { key, data })
      if (row !== undefined) {
        const focused = row.contains(document.activeElement)
        if (row === next) next = row.nextElementSibling
        row.replaceWith(made)
        if (focused) made.querySelector('button')?.focus()
      }
      row = made
    }
    if (row === next) next = row.nextElementSibling
    else list.insertBefore(row, next)
  }
  for (const row of old.values()) row.remove()
}

// --- connections -----------------------------------------------------------------------------------

function showConnections ({ total, connections }) {
  at('connections-count').textContent = total.toLocaleString()
  at('connections-note').textContent = total > connections.length
    ? `${counted(total - connections.length, 'more')}, no further behind than these.`
    : total ? '' : 'Nobody is connected.'
  at('connections').hidden = total === 0
  at('connections').tBodies[0].replaceChildren(...connections.map(connectionRow))
}

function connectionRow (one) {
  const kind = one.kind === 'replica' ? 'Python' : one.kind
  const documents = one.documents.map(({ name, behind }) =>
    behind ? `${name} (${behind.toLocaleString()} behind)` : name)
  const good = ['active', 'open'].includes(one.state)
  return connected(one, kind, `state ${good ? 'good' : 'warn'}`, ['since ', moment(one.since)], documents)
}

function connected (one, kind, look, when, documents) {
  const rows = documents.map(each => el('li', {}, each))
  if (one.more) rows.push(el('li', { class: 'dim' }, `and ${one.more} more`))
  return el('tr', {},
    el('th', { scope: 'row' }, named(one),
      el('span', { class: 'small' }, one.user && one.replica ? `${kind}, ${one.replica.slice(-6)}` : kind)),
    el('td', {}, el('span', { class: look }, one.state), el('span', { class: 'small' }, ...when)),
    el('td', { class: 'number' }, el('span', { class: one.behind ? 'warn' : null }, one.behind.toLocaleString())),
    el('td', {}, rows.length ? el('ul', {}, ...rows) : el('span', { class: 'dim' }, 'none')))
}

async function showAway () {
  const open = at('show-away').getAttribute('aria-expanded') === 'true'
  at('show-away').setAttribute('aria-expanded', String(!open))
  at('away').hidden = open
  if (open) return
  try {
    const { total, connections } = await ask('away')
    at('away').firstElementChild.hidden = total === 0
    at('away').querySelector('tbody').replaceChildren(...connections.map(one =>
      connected(one, 'Python', 'state dim', ['seen ', moment(one.last_seen)], one.documents)))
    at('away-note').textContent = total > connections.length
      ? `${counted(total - connections.length, 'more')}, no further behind than these.`
      : total ? '' : 'Nobody who was here is away.'
  } catch (error) { failed(error) }
}

/** Says when something was: the time of day, and the day if it was another. */
function moment (iso) {
  const date = new Date(iso)
  const today = date.toDateString() === new Date().toDateString()
  return el('time', { datetime: iso }, today ? clock(date) : `${date.toLocaleDateString()} ${clock(date)}`)
}

const clock = date => date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })

// --- entries ---------------------------------------------------------------------------------------

function entryRow (entry, inDocument) {
  const when = entry.time ? new Date(entry.time) : null
  const about = [`entry ${entry.seq.toLocaleString()}`, `replica ${entry.replica.slice(-6)}`, `${entry.bytes.toLocaleString()} bytes`]
  if (when && when.toDateString() !== new Date().toDateString()) about.unshift(when.toLocaleDateString())
  const said = entry.damaged
    ? el('span', { class: 'bad' }, 'cannot be read')
    : el('b', {}, entry.action || 'unnamed')
  return el('li', {},
    el('time', { datetime: entry.time ?? null, title: entry.time ?? null }, when ? clock(when) : ''),
    el('span', { class: 'what' },
      el('span', { class: 'who' }, named(entry)), ' ', said,
      entry.arguments ? el('code', { class: 'dim' }, ` ${entry.arguments}`) : null,
      typeof entry.refused === 'string' ? el('span', { class: 'bad' }, ` refused${entry.refused && ': ' + entry.refused}`) : null,
      typeof entry.erased === 'string' ? el('span', { class: 'warn' }, ` erased${entry.erased && ': ' + entry.erased}`) : null),
    el('span', { class: 'from' }, inDocument ? about.join(' · ') : `${entry.document} · ${about.join(' · ')}`))
}

function showEntries ({ entries, missed }) {
  if (!state.paused) {
    const list = at('live')
    const made = entries.map(entry => entryRow(entry, false)).reverse()
    for (const row of made) row.classList.add('fresh')
    list.prepend(...made)
    while (list.children.length > LIVE_MAX) list.lastElementChild.remove()
    at('live-note').textContent = missed ? `${counted(missed, 'entry', 'entries')} came too fast to be shown.` : ''
  } else {
    state.arrived += entries.length + missed
    at('live-note').textContent = `Paused; ${counted(state.arrived, 'entry', 'entries')} since.`
  }
  say(entries)
  showDocuments()
  if (entries.some(entry => entry.document === state.name)) showDocument()
}

/** Tells a screen reader that something came: at most once in ten seconds. */
let [unsaid, speaking] = [0, false]
function say (entries) {
  unsaid += entries.length
  if (speaking || !unsaid || state.paused) return
  speaking = true
  const last = entries.at(-1)
  at('live-said').textContent = `${counted(unsaid, 'new entry', 'new entries')}` +
    (last ? `, the last by ${named(last)}: ${last.action} in ${last.document}` : '')
  unsaid = 0
  setTimeout(() => { speaking = false; say([]) }, 10000)
}

// --- one document ----------------------------------------------------------------------------------

const showDocument = throttled(async () => {
  const name = state.name
  if (name === null) return
  let [shown, log] = [null, null]
  try {
    [shown, log] = await Promise.all([ask('document', { name }), ask('log', { name })])
  } catch (error) {
    if (error.status !== 404 && error.status !== 403) throw error
    at('document-note').textContent = error.message
    return
  }
  if (name !== state.name) return
  at('document-note').textContent = `${counted(shown.entries, 'entry', 'entries')} by ` +
    listed(shown.replicas.map(one => `${named(one)} (${one.entries.toLocaleString()})`), shown.logs)
  showConflicts(shown.fields)
  showView(shown)
  showLog(log)
})

/** Puts new entries in front of those that are there; all anew if some in between are missing. */
function showLog ({ entries, more }) {
  const fresh = entries.filter(({ offset }) => offset > state.newest)
  const rows = fresh.map(entry => entryRow(entry, true))
  if (fresh.length < entries.length) at('log').prepend(...rows)
  else {
    at('log').replaceChildren(...rows)
    state.before = more
    at('older').hidden = more === null
  }
  state.newest = entries[0]?.offset ?? 0
}

function listed (names, total) {
  const shown = names.slice(0, 12).join(', ')
  return total > 12 ? `${shown} and ${total - 12} more replicas` : shown
}

function showConflicts (fields) {
  const contested = fields.filter(({ kind, writes }) => kind !== 'rules' && writes.length > 1)
  at('conflicts-note').textContent = contested.length
    ? 'Written by several who had not seen each other. The app’s strategy decides; a counter adds them up.'
    : 'No field has several values.'
  at('conflicts').replaceChildren(...contested.slice(0, 100).map(({ path, writes }) => el('li', {},
    el('b', {}, path.join(' / ')),
    el('table', { 'aria-label': `Values of ${path.join(' / ')}` },
      el('thead', {}, el('tr', {}, ...['Value', 'Who', 'When'].map(each => el('th', { scope: 'col' }, each)))),
      el('tbody', {}, ...writes.map(write => el('tr', {},
        el('td', {}, write.value),
        el('td', {}, named(write)),
        el('td', {}, el('time', { datetime: write.time }, clock(new Date(write.time)))))))))))
}

/** Shows fields, texts and lists as a tree, with what the reader has folded left as it is. */
function showView ({ fields, types, left_out: leftOut }) {
  const root = { inner: new Map(), leaves: [] }
  const rules = fields.filter(({ kind }) => kind === 'rules') // which strategies the apps' classes name
  const folder = path => path.reduce((node, key) => {
    if (!node.inner.has(key)) node.inner.set(key, { inner: new Map(), leaves: [], removed: false })
    return node.inner.get(key)
  }, root)
  for (const { path, kind, value, writes } of fields) {
    if (kind === 'record' || kind === 'removed') folder(path).removed = kind === 'removed'
    else if (kind === 'element') folder(path.slice(0, -1)).leaves.push({ name: '∋', value })
    else if (kind === 'field') {
      folder(path.slice(0, -1)).leaves.push({ name: path.at(-1), value, several: writes.length > 1 })
    }
  }
  for (const { path, kind, value } of types) {
    folder(path.slice(0, -1)).leaves.push({ name: path.at(-1), value, kind })
  }
  const closed = new Set([...at('view').querySelectorAll('details:not([open])')].map(each => each.dataset.path))
  const many = fields.length > 200
  const opened = new Set([...at('view').querySelectorAll('details[open]')].map(each => each.dataset.path))
  const branch = (node, path) => [
    node.leaves.length ? el('dl', {}, ...node.leaves.flatMap(leaf)) : null,
    ...[...node.inner].map(([key, inner]) => {
      const here = [...path, key].join('\n')
      const open = opened.has(here) || !(closed.has(here) || many || inner.removed)
      return el('details', { open, 'data-path': here },
        el('summary', { class: inner.removed ? 'dim' : null },
          el('span', { class: inner.removed ? 'removed' : null }, key), inner.removed ? ' (removed)' : null),
        ...branch(inner, [...path, key]))
    })
  ].filter(each => each !== null)
  const shown = branch(root, [])
  for (const { path, value } of rules) {
    shown.push(el('p', { class: 'note' }, `Strategies of schema ${path.at(-1)}: `, el('code', {}, value)))
  }
  if (leftOut) shown.push(el('p', { class: 'note' }, `${counted(leftOut, 'more field')} not shown.`))
  at('view').replaceChildren(...(shown.length ? shown : [el('p', { class: 'note' }, 'Nothing in it.')]))
}

function leaf ({ name, value, kind = null, several = false }) {
  return [
    el('dt', {}, name, kind ? ` (${kind})` : null),
    el('dd', { class: kind === 'text' ? 'text' : 'mono' }, value, several ? el('span', { class: 'warn' }, ' one of several') : null)
  ]
}

async function showOlder () {
  const [name, before] = [state.name, state.before]
  try {
    const { entries, more } = await ask('log', { name, before })
    if (name !== state.name || before !== state.before) return
    const rows = entries.map(entry => entryRow(entry, true))
    at('log').append(...rows)
    state.before = more
    at('older').hidden = more === null
    if (more === null) at('document-title').focus()
  } catch (error) { failed(error) }
}

function choose (byHand) {
  const name = new URLSearchParams(location.hash.slice(1)).get('document')
  if (name === state.name) return
  state.name = name
  at('document').hidden = name === null
  at('board').classList.toggle('looking', name !== null)
  for (const row of at('documents').children) {
    row.firstElementChild.toggleAttribute('aria-current', false)
    if (row.dataset.key === name) row.firstElementChild.setAttribute('aria-current', 'true')
  }
  if (name === null) return
  at('document-title').textContent = name
  for (const id of ['document-note', 'conflicts-note', 'conflicts', 'view', 'log']) at(id).replaceChildren()
  at('older').hidden = true
  state.newest = 0
  if (byHand) at('document-title').focus()
  showDocument()
}

function close () {
  const row = [...at('documents').children].find(each => each.dataset.key === state.name)
  history.pushState(null, '', location.pathname + location.search)
  choose(true)
  ;(row?.firstElementChild ?? at('like')).focus()
}

// --- signing in, and following ---------------------------------------------------------------------

function showSignIn () {
  state.events?.close()
  at('board').hidden = true
  at('sign-in').hidden = false
  at('sign-out').hidden = true
  at('who').hidden = true
  setState('dim', 'not signed in')
  at('token').focus()
}

async function signIn (event) {
  event.preventDefault()
  at('sign-in-problem').textContent = ''
  const response = await fetch('inspect/session', { method: 'POST', body: at('token').value })
  if (response.ok) {
    at('token').value = ''
    begin()
  } else at('sign-in-problem').textContent = (await response.text()).trim()
}

async function signOut () {
  await fetch('inspect/session', { method: 'DELETE' })
  location.reload()
}

async function begin () {
  let me
  try {
    me = await ask('me')
  } catch (error) {
    if (error.status === 401) { showSignIn(); return }
    setState('warn', error instanceof Answer ? error.message : 'the server does not answer')
    setTimeout(begin, 2000)
    return
  }
  at('sign-in').hidden = true
  at('board').hidden = false
  at('sign-out').hidden = !me.signed_in
  at('who').hidden = !me.signed_in
  at('who').textContent = me.user ?? 'signed in'
  follow()
  showDocuments()
  choose(false)
}

function follow () {
  state.events?.close()
  const events = state.events = new EventSource(API + 'live')
  events.addEventListener('open', () => { setState('good', 'live'); showDocuments(); showDocument() })
  events.addEventListener('entries', event => showEntries(JSON.parse(event.data)))
  events.addEventListener('connections', event => { showConnections(JSON.parse(event.data)); showDocuments() })
  events.addEventListener('error', () => {
    setState('warn', 'cut off, trying again')
    if (events.readyState === EventSource.CLOSED) setTimeout(begin, 2000)
  })
}

at('sign-in').addEventListener('submit', signIn)
at('sign-out').addEventListener('click', signOut)
at('filter').addEventListener('submit', event => event.preventDefault())
at('like').addEventListener('input', showDocuments)
at('close').addEventListener('click', close)
at('older').addEventListener('click', showOlder)
at('show-away').addEventListener('click', showAway)
at('pause').addEventListener('click', () => {
  state.paused = !state.paused
  state.arrived = 0
  at('pause').setAttribute('aria-pressed', String(state.paused))
  at('live-note').textContent = state.paused ? 'Paused.' : ''
})
addEventListener('hashchange', choose)
addEventListener('popstate', choose)
addEventListener('keydown', event => { if (event.key === 'Escape' && state.name !== null) close() })
begin()
