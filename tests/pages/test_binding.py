"""The binding between a shared text and a text area, whatever is done on either side."""

from __future__ import annotations

import pytest

from crdtsync.server import MemoryBackend
from tests.pages.conftest import Windows, page_at

pytestmark = pytest.mark.anyio

_FUZZ = r"""
async ({ seed, steps }) => {
  const { bind, difference } = await import('/demo/binding.js')
  const { Y } = await import('/demo/yjs.js')
  let state = seed
  const draw = most => { // mulberry32
    let t = state += 0x6d2b79f5
    t = Math.imul(t ^ t >>> 15, t | 1)
    t ^= t + Math.imul(t ^ t >>> 7, t | 61)
    return Math.floor(((t ^ t >>> 14) >>> 0) / 4294967296 * most)
  }
  const pick = items => items[draw(items.length)]
  const sides = [0, 1].map(() => {
    const [doc, area] = [new Y.Doc(), document.createElement('textarea')]
    document.body.append(area)
    bind(doc.getText('t'), area)
    return { doc, area, text: doc.getText('t'), composing: false }
  })
  const ends = value => { // positions that cut no character in two
    const found = [0]
    for (const each of value) found.push(found.at(-1) + each.length)
    return found
  }
  const type = ({ area }) => {
    area.focus()
    const [from, to] = [pick(ends(area.value)), pick(ends(area.value))].sort((a, b) => a - b)
    area.setRangeText(pick(['', 'a', 'b', 'aa', '😀', '😃', '\n', 'ab😀']), from, to, 'end')
    area.dispatchEvent(new InputEvent('input'))
  }
  const compose = side => {
    side.composing = !side.composing
    const event = side.composing ? 'compositionstart' : 'compositionend'
    side.area.dispatchEvent(new CompositionEvent(event))
  }
  const directly = ({ text }) => {
    const at = ends(text.toString())
    if (draw(2)) text.insert(pick(at), pick(['x', '😀y', 'b', '\r\n', '\r']))
    else {
      const [from, to] = [pick(at), pick(at)].sort((a, b) => a - b)
      text.delete(from, to - from)
    }
  }
  const exchange = () => {
    const [one, two] = sides.map(({ doc }) => doc)
    Y.applyUpdate(one, Y.encodeStateAsUpdate(two, Y.encodeStateVector(one)))
    Y.applyUpdate(two, Y.encodeStateAsUpdate(one, Y.encodeStateVector(two)))
  }
  const plain = text => text.toString().replace(/\r\n?/g, '\n')
  for (let step = 0; step < steps; step++) {
    const side = pick(sides)
    pick([type, type, type, compose, directly, exchange])(side)
    for (const { area, text, composing } of sides) {
      if (!text.toString().isWellFormed()) return `${seed}/${step}: a character was cut in two`
      if (!composing && area.value !== plain(text)) {
        return `${seed}/${step}: ${JSON.stringify([area.value, text.toString()])}`
      }
    }
  }
  for (const side of sides) if (side.composing) compose(side)
  exchange()
  const [one, two] = sides
  if (one.area.value !== two.area.value) return `${seed}: they differ`
  if (one.area.value !== plain(one.text)) return `${seed}: not what is shared`
  for (let n = 0; n < steps; n++) {
    const some = () => pick(['a', 'b', '😀', '😃', '🐀'])
    const word = () => Array.from({ length: draw(6) }, some).join('')
    const [before, after] = [word(), word()]
    const edit = difference(before, after, draw(after.length + 1))
    const made = edit === null
      ? before
      : before.slice(0, edit.start) + edit.insert + before.slice(edit.stop)
    if (made !== after) return `${JSON.stringify([before, after, edit])}`
    if (edit === null) continue
    const whole = edit.insert.isWellFormed() && before.slice(edit.start, edit.stop).isWellFormed()
    if (!whole) return `${JSON.stringify([before, after, edit])} cuts a character`
  }
  for (const { area } of sides) area.remove()
  return null
}
"""


async def test_both_sides_show_what_is_shared(windows: Windows) -> None:
    async with windows.serving(MemoryBackend()) as url:
        page = await windows.open(page_at(url, "demo"))
        for seed in range(150):
            assert await page.evaluate(_FUZZ, {"seed": seed, "steps": 60}) is None


_COMPOSED = r"""
async () => {
  const { bind } = await import('/demo/binding.js')
  const { Y } = await import('/demo/yjs.js')
  const [text, area] = [new Y.Doc().getText('t'), document.createElement('textarea')]
  document.body.append(area)
  text.insert(0, 'ab')
  bind(text, area)
  area.focus()
  area.dispatchEvent(new CompositionEvent('compositionstart'))
  area.setRangeText('c', 1, 1, 'end')
  area.dispatchEvent(new InputEvent('input'))
  text.insert(0, 'xx')
  text.insert(4, 'yy')
  const during = [area.value, text.toString()]
  area.dispatchEvent(new CompositionEvent('compositionend'))
  return [...during, text.toString(), area.value, area.selectionStart]
}
"""


async def test_what_is_being_composed_is_left_alone_and_lands_where_it_was(
    windows: Windows,
) -> None:
    async with windows.serving(MemoryBackend()) as url:
        page = await windows.open(page_at(url, "demo"))
        found = await page.evaluate(_COMPOSED)
        assert found == ["acb", "xxabyy", "xxacbyy", "xxacbyy", 4]
