// Binds a Y.Text to a <textarea>, both ways. Positions count UTF-16 units on either side.

/** Returns where a position is after a change; what is put in right there comes before it. */
export function moved (position, delta) {
  let at = 0
  for (const { retain = 0, insert = '', delete: gone = 0 } of delta) {
    if (at > position) break
    if (insert.length) {
      position += insert.length
      at += insert.length
    }
    if (gone) position -= Math.min(gone, position - at)
    at += retain
  }
  return position
}

const isHigh = unit => unit >= 0xd800 && unit < 0xdc00
const isLow = unit => unit >= 0xdc00 && unit < 0xe000

/** Returns one replacement that makes one text of another, no character cut in two; null if none. */
export function difference (before, after, caret = after.length) {
  if (before === after) return null
  let tail = 0
  const tailMax = Math.min(before.length, after.length - caret)
  while (tail < tailMax && before.at(-1 - tail) === after.at(-1 - tail)) tail++
  let start = 0
  const startMax = Math.min(before.length, after.length) - tail
  while (start < startMax && before[start] === after[start]) start++
  if (start > 0 && isHigh(before.charCodeAt(start - 1))) start--
  if (tail > 0 && isLow(before.charCodeAt(before.length - tail))) tail--
  return { start, stop: before.length - tail, insert: after.slice(start, after.length - tail) }
}

/** Shows a text in a textarea, and writes what is typed there. Returns how to stop that. */
export function bind (text, area) {
  let shown
  let composing = false
  let waiting = [] // changes from elsewhere that came while something was being composed

  const show = place => {
    const { selectionDirection: direction, scrollTop } = area
    const [from, to] = [area.selectionStart, area.selectionEnd].map(place)
    area.value = text.toString()
    shown = area.value // with its own line ends
    if (document.activeElement === area) area.setSelectionRange(from, to, direction)
    area.scrollTop = scrollTop
  }

  const write = () => {
    if (composing) return
    const edit = difference(shown, area.value, area.selectionEnd)
    const missed = waiting
    waiting = []
    const place = each => missed.reduce(moved, each)
    if (edit !== null) {
      const [start, stop] = [edit.start, edit.stop].map(place)
      text.doc.transact(() => {
        // A textarea knows one kind of line end; with others, places here were not places there.
        for (const { index, 0: end } of [...text.toString().matchAll(/\r\n?/g)].reverse()) {
          text.delete(index, 1)
          if (end === '\r') text.insert(index, '\n')
        }
        text.delete(start, stop - start)
        text.insert(start, edit.insert)
      }, area)
      shown = area.value
      if (missed.length) show(() => start + edit.insert.length)
    } else if (missed.length) show(place)
  }

  const follow = ({ delta, transaction }) => {
    if (transaction.origin === area) return
    if (composing) waiting.push(delta)
    else show(each => moved(each, delta))
  }

  const compose = event => {
    composing = event.type === 'compositionstart'
    if (!composing) write()
  }

  show(each => each)
  text.observe(follow)
  const heard = { input: write, compositionstart: compose, compositionend: compose }
  for (const [name, hear] of Object.entries(heard)) area.addEventListener(name, hear)
  return () => {
    text.unobserve(follow)
    for (const [name, hear] of Object.entries(heard)) area.removeEventListener(name, hear)
  }
}
