// Reads and writes the fields of a crdtsync document from a front end that has it as a Y.Doc.
//
// Texts, lists, maps and rich texts are Yjs types and need nothing but Yjs: doc.getText('notes'). All
// other fields are slots in one map; docs/yjs.md says how to use this module, docs/formats.md what a
// slot is.
// It needs no build step, and nothing but the Y.Doc that it is given.

const TICKS_PER_MS = 65536n // a time is Unix milliseconds and a counter of 16 bits
const AHEAD_MAX_MS = 60000 // whoever's clock is further ahead is not followed
const DEPTH_MAX = 34

/** Returns a path: its segments, escaped. path('tasks', key, 'title') */
export function path (...segments) {
  return segments
    .map(each => each.replaceAll('%', '%25').replaceAll('/', '%2F').replaceAll('@', '%40'))
    .join('/')
}

function unescape (segment) {
  return segment.replaceAll('%40', '@').replaceAll('%2F', '/').replaceAll('%25', '%')
}

/** The plain fields and the records of a document. */
export class Fields {
  #slots
  #own // our CRDT id, in hexadecimal
  #keys = new Map() // path -> keys of its slots
  #written = 0 // local transactions so far
  #last = 0 // the number that our last write has
  #time = 0n
  #observers = new Set()
  #follow = event => {
    const paths = new Set()
    event.changes.keys.forEach((_, key) => paths.add(this.#index(key)))
    this.#observers.forEach(observer => observer(paths))
  }

  #count = (_update, _origin, _doc, transaction) => { if (transaction.local) this.#written++ }

  /**
   * @param doc the Y.Doc. Make the fields together with it: they count what it writes.
   * @param schemaVersion the version of the schema that your writes follow.
   */
  constructor (doc, { schemaVersion = 1 } = {}) {
    this.doc = doc
    this.schemaVersion = schemaVersion
    this.#own = doc.clientID.toString(16)
    this.#slots = doc.getMap('slots')
    for (const key of this.#slots.keys()) this.#index(key)
    this.#slots.observe(this.#follow)
    doc.on('update', this.#count)
  }

  destroy () {
    this.#slots.unobserve(this.#follow)
    this.doc.off('update', this.#count)
  }

  /** Calls back with the set of paths whose slots have changed; returns how to stop that. */
  observe (callback) {
    this.#observers.add(callback)
    return () => this.#observers.delete(callback)
  }

  /** Returns the value of a field that was written last; undefined if none was. */
  get (path) {
    return this.candidates(path).at(-1)?.value
  }

  /**
   * Returns all live values of a field, the one written last behind the others: more than one if
   * several have written it without having seen each other. [{ value, time: Date, replica }]
   */
  candidates (path) {
    return this.#live(path).map(({ value, time, replica }) =>
      ({ value, time: new Date(Number(time / TICKS_PER_MS)), replica }))
  }

  /** Writes a field, in place of all values that are seen on it now. */
  set (path, value) {
    this.#write(path, () => value, false)
  }

  /** Empties a field. */
  remove (path) {
    if (this.#live(path).length) this.#write(path, () => null, true)
  }

  /** Returns the keys of a table's records, sorted. */
  records (table) {
    const keys = new Set()
    for (const each of this.#keys.keys()) {
      if (each.startsWith(table + '/')) keys.add(each.slice(table.length + 1).split('/')[0])
    }
    return [...keys].filter(key => this.#exists(`${table}/${key}`)).map(unescape).sort()
  }

  /** Adds a record, or says that an existing one is worked on: when its text is typed in, for one. */
  addRecord (table, key) {
    this.set(`${table}/${path(key)}`, true)
  }

  /** Deletes a record. What somebody else does to it without having seen that keeps it there. */
  deleteRecord (table, key) {
    const record = `${table}/${path(key)}`
    this.#write(record, seq => {
      const seen = new Map([[this.doc.clientID, seq]])
      for (const each of this.#within(record)) {
        for (const slot of this.#stored(each)) noteSeen(seen, slot)
      }
      for (const slot of this.#stored(record).filter(isRemoval)) {
        for (const [replica, number] of slot.value) note(seen, replica, number)
      }
      return pairs(seen)
    }, false)
  }

  #index (key) {
    const at = key.lastIndexOf('@')
    const path = key.slice(0, Math.max(at, 0))
    const keys = this.#keys.get(path) ?? new Set()
    if (this.#slots.has(key)) {
      keys.add(key)
      this.#see(readSlot(key, this.#slots.get(key))?.time ?? 0n)
    } else keys.delete(key)
    if (keys.size) this.#keys.set(path, keys)
    else this.#keys.delete(path)
    return path
  }

  #within (record) {
    return [...this.#keys.keys()].filter(each => each === record || each.startsWith(record + '/'))
  }

  #stored (path) {
    return [...(this.#keys.get(path) ?? [])]
      .map(key => readSlot(key, this.#slots.get(key)))
      .filter(slot => slot !== null)
      .sort((a, b) => compare(a.time, b.time) || a.replica - b.replica || a.seq - b.seq)
  }

  /** Returns the slots that count: those that no other has seen, the last one of each replica. */
  #live (path, seenBy = slot => slot.seen) {
    const slots = this.#stored(path)
    const seen = new Map()
    for (const slot of slots) for (const [replica, seq] of seenBy(slot)) note(seen, replica, seq)
    const left = slots.filter(slot => slot.seq > (seen.get(slot.replica) ?? 0))
    const last = new Map()
    for (const { replica, seq } of left) note(last, replica, seq)
    return left.filter(slot => slot.seq === last.get(slot.replica))
  }

  #exists (record) {
    const presence = this.#live(record, slot => isRemoval(slot)
      ? slot.value.filter(([replica]) => replica !== slot.replica)
      : slot.seen)
    const fields = this.#within(record).filter(each => each !== record)
    const writes = [...presence, ...fields.flatMap(each => this.#live(each))]
      .filter(slot => slot.path !== record || !isRemoval(slot))
    const removals = presence.filter(isRemoval).map(({ value }) => new Map(value))
    return writes.some(({ replica, seq }) =>
      removals.every(seen => seq > (seen.get(replica) ?? 0)))
  }

  #write (path, valueOf, gone) {
    this.doc.transact(() => {
      const seq = this.#next()
      const value = valueOf(seq)
      const seen = new Map()
      for (const slot of this.#stored(path)) noteSeen(seen, slot)
      if (gone) seen.set(this.doc.clientID, seq)
      else seen.delete(this.doc.clientID)
      for (const key of [...(this.#keys.get(path) ?? [])]) this.#slots.delete(key)
      const items = [seq, this.#tick(), value]
      if (seen.size) items.push(null, this.schemaVersion, pairs(seen))
      else if (this.schemaVersion !== 1) items.push(null, this.schemaVersion)
      const key = `${path}@${this.#own}.${(2 * seq).toString(16)}`
      this.#slots.set(key, encode(items))
    })
  }

  /** Returns the number of the entry that the server will make of this local transaction. */
  #next () {
    this.#last = Math.max(this.#written, this.#last) + 1
    return this.#last
  }

  #see (time) {
    const bound = BigInt(Date.now() + AHEAD_MAX_MS) * TICKS_PER_MS
    if (time > this.#time && time < bound) this.#time = time
  }

  #tick () {
    const now = BigInt(Date.now()) * TICKS_PER_MS
    this.#time = now > this.#time ? now : this.#time + 1n
    return this.#time
  }
}

function note (seen, replica, seq) {
  seen.set(replica, Math.max(seq, seen.get(replica) ?? 0))
}

function noteSeen (seen, slot) {
  note(seen, slot.replica, slot.seq)
  for (const [replica, seq] of slot.seen) note(seen, replica, seq)
}

function isRemoval ({ value }) {
  return Array.isArray(value) // of a record's presence only
}

function pairs (seen) {
  return [...seen].sort(([a], [b]) => a - b)
}

function compare (a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Reads a slot; null for what is none. */
function readSlot (key, data) {
  try {
    const at = key.lastIndexOf('@')
    const [replica, generation] = key.slice(at + 1).split('.').map(part => parseInt(part, 16))
    const [seq, time, value, , , seen = []] = decode(data)
    if (!(replica > 0) || Number.isNaN(generation) || !Number.isInteger(seq)) return null
    return { path: key.slice(0, at), replica, seq, time: BigInt(time), value, seen: seen ?? [] }
  } catch {
    return null // as every replica does, see docs/formats.md
  }
}

// --- CBOR (RFC 8949), as far as crdtsync uses it ---------------------------------------------------

/** A value that JavaScript has no type for, kept as it is: decimals (4), UUIDs (37), dates (1004). */
export class Tagged {
  constructor (tag, value) {
    this.tag = tag
    this.value = value
  }
}

const [UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE] = [0, 1, 2, 3, 4, 5, 6, 7]

/** Encodes a value. Whole numbers become integers; a Date becomes a date-time. */
export function encode (value) {
  const bytes = []
  write(value, bytes)
  return Uint8Array.from(bytes)
}

function writeHead (major, number, bytes) {
  const first = major << 5
  const wide = BigInt(number)
  if (wide < 24n) bytes.push(first | Number(wide))
  else {
    const power = wide < 256n ? 0 : wide < 65536n ? 1 : wide < 4294967296n ? 2 : 3
    bytes.push(first | 24 + power)
    for (let shift = 8 * (2 ** power - 1); shift >= 0; shift -= 8) {
      bytes.push(Number((wide >> BigInt(shift)) & 255n))
    }
  }
}

function write (value, bytes) {
  if (value === null || value === undefined) bytes.push(0xf6)
  else if (typeof value === 'boolean') bytes.push(value ? 0xf5 : 0xf4)
  else if (Number.isSafeInteger(value)) writeInteger(BigInt(value), bytes)
  else if (typeof value === 'number') writeFraction(value, bytes)
  else if (typeof value === 'bigint') writeInteger(value, bytes)
  else if (typeof value === 'string') writeText(value, bytes)
  else if (value instanceof Uint8Array) {
    writeHead(BYTES, value.length, bytes)
    for (const byte of value) bytes.push(byte)
  } else if (value instanceof Date) {
    write(new Tagged(0, value.toISOString()), bytes)
  } else if (value instanceof Tagged) {
    writeHead(TAG, value.tag, bytes)
    write(value.value, bytes)
  } else if (Array.isArray(value)) {
    writeHead(ARRAY, value.length, bytes)
    value.forEach(item => write(item, bytes))
  } else if (Object.getPrototypeOf(value) === Object.prototype) {
    const keys = Object.keys(value)
    writeHead(MAP, keys.length, bytes)
    keys.forEach(key => { writeText(key, bytes); write(value[key], bytes) })
  } else throw new TypeError(`a field cannot hold a ${value.constructor?.name ?? typeof value}`)
}

function writeInteger (value, bytes) {
  const [major, number] = value < 0n ? [NEGATIVE, -1n - value] : [UINT, value]
  if (number < 2n ** 64n) writeHead(major, number, bytes)
  else {
    let digits = number.toString(16)
    if (digits.length % 2) digits = '0' + digits
    const data = digits.match(/../g).map(pair => parseInt(pair, 16))
    write(new Tagged(major === UINT ? 2 : 3, Uint8Array.from(data)), bytes)
  }
}

function writeFraction (value, bytes) {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  bytes.push(0xfb, ...new Uint8Array(view.buffer))
}

function writeText (text, bytes) {
  const data = new TextEncoder().encode(text)
  writeHead(TEXT, data.length, bytes)
  for (const byte of data) bytes.push(byte)
}

/** Decodes exactly one item; throws for anything else. */
export function decode (data) {
  const reader = { data, view: new DataView(data.buffer, data.byteOffset, data.length), at: 0 }
  const value = read(reader, DEPTH_MAX)
  if (reader.at !== data.length) throw new RangeError('something follows the item')
  return value
}

function take (reader, size) {
  const start = reader.at
  reader.at += size
  if (reader.at > reader.data.length) throw new RangeError('cut short')
  return start
}

function readNumber (reader, detail) {
  if (detail < 24) return detail
  if (detail > 27) throw new RangeError('of no definite length')
  const at = take(reader, 2 ** (detail - 24))
  const { view } = reader
  if (detail === 24) return view.getUint8(at)
  if (detail === 25) return view.getUint16(at)
  if (detail === 26) return view.getUint32(at)
  const wide = view.getBigUint64(at)
  return wide <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(wide) : wide
}

function read (reader, depth) {
  if (depth === 0) throw new RangeError('nested too deeply')
  const first = reader.data[take(reader, 1)]
  const [major, detail] = [first >> 5, first & 31]
  if (major === SIMPLE) return readSimple(reader, detail)
  const number = readNumber(reader, detail)
  switch (major) {
    case UINT: return number
    case NEGATIVE: return typeof number === 'bigint' ? -1n - number : -1 - number
    case BYTES: return readBytes(reader, number)
    case TEXT: return new TextDecoder('utf-8', { fatal: true }).decode(readBytes(reader, number))
    case ARRAY: return Array.from({ length: sized(reader, number) }, () => read(reader, depth - 1))
    case MAP: {
      const entries = Array.from({ length: sized(reader, number) }, () =>
        [read(reader, depth - 1), read(reader, depth - 1)])
      return Object.fromEntries(entries)
    }
    default: return untagged(number, read(reader, depth - 1))
  }
}

function readBytes (reader, size) {
  const at = take(reader, Number(size))
  return reader.data.slice(at, at + Number(size))
}

/** Returns a number of items, each of which takes a byte at least. */
function sized (reader, number) {
  if (number > reader.data.length - reader.at) throw new RangeError('cut short')
  return number
}

function readSimple (reader, detail) {
  switch (detail) {
    case 20: return false
    case 21: return true
    case 22: return null
    case 25: return half(reader.view.getUint16(take(reader, 2)))
    case 26: return reader.view.getFloat32(take(reader, 4))
    case 27: return reader.view.getFloat64(take(reader, 8))
    default: throw new RangeError('a simple value that is none of ours')
  }
}

function half (bits) {
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023]
  const size = exponent === 0
    ? mantissa * 2 ** -24
    : exponent === 31 ? (mantissa ? NaN : Infinity) : (1 + mantissa / 1024) * 2 ** (exponent - 15)
  return bits >> 15 ? -size : size
}

function untagged (tag, value) {
  const big = () => BigInt('0x0' + [...value].map(b => b.toString(16).padStart(2, '0')).join(''))
  if (tag === 0) return new Date(value)
  if (tag === 2) return big()
  if (tag === 3) return -1n - big()
  return new Tagged(tag, value)
}
