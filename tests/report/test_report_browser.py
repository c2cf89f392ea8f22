"""The page in a real browser: nothing asked for, nothing complained of, a dot pointed at shows its frame."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.hostile import Made

BROWSER = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, without a window."""
    if BROWSER is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with playwright.sync_playwright() as running:
        # a container's root cannot have the sandbox, and the page is our own
        opened = running.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


def open_page(browser: Any, file: Path, *, width: int) -> tuple[Any, list[str], list[str]]:
    """Open a page; return it, what it complains of, and what it asks for besides itself."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    return page, complaints, [url for url in asked if url != file.as_uri() and not url.startswith("data:")]


def centre(dot: Any) -> tuple[float, float]:
    """Where a dot is on the screen."""
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(made: Made, browser: Any, width: int) -> None:
    """At phone and desktop width: no error, no request, no scrolling sideways; dots show frames; names are text."""
    page, complaints, asked = open_page(browser, made.page, width=width)
    clips = page.evaluate("JSON.parse(document.getElementById('clips').textContent)")
    card = page.locator("#card")
    assert not card.is_visible()
    for number in (0, 7):
        dot = page.locator("svg.map").first.locator(f'[data-clip="{number}"]')
        page.mouse.move(*centre(dot))
        assert card.is_visible()
        assert card.locator(".card-name").text_content() == clips[number]["video"]
        assert card.locator("use").get_attribute("href") == f"#frame{clips[number]['frame']}"
        assert page.locator(f'svg.map [data-clip="{number}"].on').count() == 3  # in every map
        box = card.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    page.keyboard.press("Escape")
    page.locator("svg.map").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert card.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("typeof window.hacked") == "undefined"
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure svg, figure img')].map(x => x.getBoundingClientRect().width)"
    )
    assert min(sizes) > 10
    assert (complaints, asked) == ([], [])
    page.close()
