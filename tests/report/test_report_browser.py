"""The report in a real browser: no requests, no errors, and a frame for each point on hover."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helpers.browsing import open_page, read_contrasts
from helpers.hostile import HOSTILE_LABEL, Made


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


def test_the_choice_shows_the_answers_of_another_layer(made: Made, browser: Any) -> None:
    """The matrix, the counts and the wrong clips of the chosen layer, and no others; names of classes are text."""
    page, complaints, asked = open_page(browser, made.page, width=1280)
    select = page.locator("#mistakes select")
    names = select.locator("option").all_text_contents()
    for place, name in enumerate(names):
        select.select_option(str(place))
        panels = page.locator("#figure-confusion [data-array]:visible")
        assert panels.count() == 1
        assert panels.locator("h4").first.text_content().startswith(f"{name}: ")
        right = int(panels.locator("h4").first.text_content().removeprefix(f"{name}: ").split()[0])
        cells = panels.locator(".confusion tbody tr").all()
        diagonal = [row.locator("td").nth(at).text_content() for at, row in enumerate(cells)]
        assert sum(int(count or 0) for count in diagonal) == right
        shown = page.locator("#figure-wrong article:visible")
        assert all(str(place) in each.get_attribute("data-wrong").split() for each in shown.all())
        assert (
            f"{name} gets {shown.count() or 'none'} of"
            in page.locator("#figure-wrong p[data-array]:visible").text_content()
        )
    assert HOSTILE_LABEL in page.locator("#figure-confusion [data-array]:visible .confusion thead").text_content()
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert (complaints, asked) == ([], [])
    page.close()


def test_a_clip_plays_and_stops(made: Made, browser: Any) -> None:
    """A push of the button shows one frame of the page after another, the next push the first one again."""
    page, complaints, asked = open_page(browser, made.page, width=390)
    player = page.locator("article:visible .player").first
    frames = [f"#frame{number}" for number in player.get_attribute("data-frames").split()]
    assert len(frames) == 8
    use = player.locator("use")
    assert use.get_attribute("href") == frames[0]
    player.locator("button").click()
    for frame in (frames[2], frames[4]):
        page.wait_for_function(
            "([use, frame]) => use.getAttribute('href') === frame", arg=[use.element_handle(), frame]
        )
    player.locator("button").click()
    assert use.get_attribute("href") == frames[0]
    assert (complaints, asked) == ([], [])
    page.close()


def test_pointing_at_a_curve_tells_its_values(made: Made, browser: Any) -> None:
    """The step and every layer's loss there, as metrics.jsonl has them; arrow keys go from step to step."""
    page, complaints, _ = open_page(browser, made.page, width=1280)
    lines = [json.loads(line) for line in (made.run / "metrics.jsonl").read_text().splitlines()]
    chart = page.locator("#figure-loss svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    tip = page.locator("#tip")
    for share, line in ((0.99, lines[-1]), (0.1, lines[0])):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        said = tip.locator("span").all_text_contents()
        assert said[0] == f"step {line['step']}"
        assert said[1:] == [f"layer{n}: {float(format(line[f'layer{n}/loss'], '.4g')):g}" for n in (1, 2)]
    page.mouse.move(2, 2)
    assert not tip.is_visible()
    chart.focus()
    page.keyboard.press("ArrowRight")
    assert tip.locator("span").first.text_content() == f"step {lines[1]['step']}"
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    mark = page.locator("#figure-probe .mark").first
    mark.scroll_into_view_if_needed()
    mark.locator("circle").hover()
    assert "layer1, trained: " in tip.text_content()
    assert complaints == []
    page.close()


def test_what_decides_is_seen_on_a_phone(made: Made, browser: Any) -> None:
    """Accuracy and its difference to untrained lie inside 390 px; a table that goes on to the right says so."""
    page, _, _ = open_page(browser, made.page, width=390)
    table = page.locator("#learned table").first
    for column in (0, 1, 2):
        box = table.locator("thead th").nth(column).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    for wide in page.locator(".wide:visible").all():
        scrolls = wide.locator(".scroll").evaluate("each => each.scrollWidth > each.clientWidth + 1")
        assert wide.locator(".more").is_visible() == scrolls
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.locator("main").bounding_box()["width"] == 1280
    page.close()


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_all_text_can_be_read(made: Made, browser: Any, colors: str) -> None:
    """In light and dark every text stands out from what lies behind it, the counts of the matrix too."""
    page, _, _ = open_page(browser, made.page, width=1280, colors=colors)
    found = read_contrasts(page, "h1, h2, h3, h4, p, li, th, td, a, code, figcaption, span, text, select, button")
    assert min(contrast for contrast, _ in found) > 4.5
    assert page.locator(".confusion td[style]").count() > 1
    page.close()
