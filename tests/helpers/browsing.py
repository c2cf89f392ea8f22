"""Pages in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTRAST = """(selector) => [...document.querySelectorAll(selector)].map(element => {
  const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map(x => color.startsWith('color(') ? x : x / 255)
    .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, place) => sum + x * [0.2126, 0.7152, 0.0722][place], 0);
  let behind = element, ground;
  do { ground = getComputedStyle(behind).backgroundColor; behind = behind.parentElement; }
  while (behind && (ground === 'transparent' || ground.endsWith(', 0)')));
  const style = getComputedStyle(element);
  const ink = element instanceof SVGElement ? style.fill : style.color;
  const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
  return [(a + 0.05) / (b + 0.05), light(ground)];
})"""


def open_page(browser: Any, file: Path, *, width: int, colors: str = "light") -> tuple[Any, list[str], list[str]]:
    """Open a page; return it, its console errors, and its other requests."""
    page = browser.new_page(
        viewport={"width": width, "height": 800}, reduced_motion="reduce", color_scheme=colors
    )  # fmt: skip
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    return page, complaints, [url for url in asked if url != file.as_uri() and not url.startswith("data:")]


def read_contrasts(page: Any, selector: str) -> list[tuple[float, float]]:
    """Return for every element the contrast of its text with its background (WCAG 2.1), and the background's
    luminance."""
    return [tuple(pair) for pair in page.evaluate(CONTRAST, selector)]
