"""What makes a page usable for everybody, as far as a program can tell."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

__all__ = ["objections"]

_OBJECTIONS = r"""
() => {
  const found = []
  const every = selector => document.querySelectorAll(selector)
  const shown = element => element.checkVisibility({ visibilityProperty: true })
  const label = element => [
    element.getAttribute('aria-label'),
    ...(element.getAttribute('aria-labelledby') ?? '').split(' ').filter(Boolean)
      .map(id => document.getElementById(id)?.textContent),
    ...[...(element.labels ?? [])].map(each => each.textContent),
    ['A', 'BUTTON', 'SUMMARY'].includes(element.tagName) ? element.textContent : ''
  ].join('').trim()
  const say = (element, what) => found.push(`${element.outerHTML.slice(0, 120)}: ${what}`)

  const named = 'a, button, input, textarea, summary, [tabindex="0"], section, table'
  for (const element of every(named)) {
    if (shown(element) && !label(element)) say(element, 'has no name')
  }
  for (const element of every('[aria-labelledby], [aria-describedby], label[for]')) {
    for (const name of ['aria-labelledby', 'aria-describedby', 'for']) {
      for (const id of (element.getAttribute(name) ?? '').split(' ').filter(Boolean)) {
        if (!document.getElementById(id)) say(element, `${name} leads nowhere`)
      }
    }
  }
  const ids = [...every('[id]')].map(each => each.id)
  const twice = ids.filter((each, at) => ids.indexOf(each) !== at)
  if (twice.length) found.push(`twice: ${twice}`)
  for (const image of every('img:not([alt])')) say(image, 'has no alt')
  if (!document.documentElement.lang) found.push('no language')
  if (!document.title) found.push('no title')
  if (every('h1').length !== 1) found.push('not one h1')
  if (every('main').length !== 1) found.push('not one main')
  let level = 1
  for (const heading of [...every('h1, h2, h3, h4')].filter(shown)) {
    if (Number(heading.tagName[1]) > level + 1) say(heading, 'skips a level')
    level = Number(heading.tagName[1])
  }
  for (const button of every('button, input:not([type="hidden"]), summary')) {
    const { width, height } = button.getBoundingClientRect()
    if (shown(button) && (width < 20 || height < 20)) say(button, 'is too small')
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push('scrolls sideways')

  // WCAG 2.2, 1.4.3: text stands out 4.5 times (3 times where it is large).
  const numbers = colour => colour.match(/[\d.]+/g).map(Number)
  const light = colour => {
    const [r, g, b] = numbers(colour).map(each => {
      const part = each / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor
      if ((numbers(colour)[3] ?? 1) === 1) return colour
    }
    return getComputedStyle(document.body).backgroundColor
  }
  for (const element of every('body *')) {
    const texts = [...element.childNodes].some(each => each.nodeType === 3 && each.data.trim())
    const isInput = ['INPUT', 'TEXTAREA'].includes(element.tagName) && element.type !== 'checkbox'
    if (!(texts || isInput) || !shown(element) || element.disabled) continue
    const style = getComputedStyle(element)
    const [a, b] = [light(style.color), light(behind(element))]
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    const size = parseFloat(style.fontSize)
    const wanted = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5
    if (contrast < wanted) say(element, `stands out ${contrast.toFixed(2)} times only`)
  }
  return found
}
"""


async def objections(page: Page) -> Any:
    """Return what is to be said against a page as it is now; nothing, if all is well."""
    await page.evaluate("() => document.getAnimations().forEach(each => each.finish())")
    return await page.evaluate(_OBJECTIONS)
