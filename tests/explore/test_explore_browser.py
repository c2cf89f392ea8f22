"""The pages of search and cluster in a real browser, on a phone and a desktop, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.browsing import open_page, read_contrasts
from helpers.hostile import HOSTILE_FILE, HOSTILE_FOLDER, write_videos

import seqff

VIEWS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]


@pytest.fixture(scope="module")
def pages(net: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each, of videos with hostile names; not to be changed."""
    folder = tmp_path_factory.mktemp("pages")
    write_videos(folder / "videos")
    manifest, features = folder / "manifest.json", folder / "features"
    seqff.scan(folder / "videos", out=manifest, max_bad=0.2, workers=1, progress=False)
    options: dict[str, Any] = {"per": "clip", "clip_frames": 4, "clip_stride": 4, "baselines": (), "max_bad": 0.2}
    seqff.extract(net, manifest, out=features, device="cpu", progress=False, **options)
    shown: dict[str, Any] = {"videos": manifest, "progress": False}
    seqff.search(features, like=f"{HOSTILE_FILE}@0", top=9, out=folder / "search.html", **shown)
    seqff.cluster(features, k=3, out=folder / "clusters", **shown)
    return {"search": folder / "search.html", "cluster": folder / "clusters" / "page.html"}


@pytest.mark.parametrize(("width", "colors"), VIEWS)
@pytest.mark.parametrize("name", ["search", "cluster"])
def test_the_page_in_a_browser(pages: dict[str, Path], browser: Any, name: str, width: int, colors: str) -> None:
    """No error, no request, no scrolling sideways; hostile names are text; all text can be read."""
    page, complaints, asked = open_page(browser, pages[name], width=width, colors=colors)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert f"{HOSTILE_FOLDER}/{HOSTILE_FILE}" in page.locator("main").text_content()
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.locator(".absent").count() == 0
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg.frame, .player')].map(x => x.getBoundingClientRect().width)"
    )
    assert len(sizes) > 9
    assert min(sizes) > 50
    found = read_contrasts(page, "h1, h2, p, td, th, a, figcaption, .ethogram text")
    assert min(contrast for contrast, _ in found) > 4.5
    assert all((ground < 0.2) == (colors == "dark") for _, ground in found)
    assert (complaints, asked) == ([], [])
    page.close()


def test_a_moment_plays(pages: dict[str, Path], browser: Any) -> None:
    """A push of the button shows the next frame of the moment, the next push the first one again."""
    for file in pages.values():
        page, complaints, asked = open_page(browser, file, width=390)
        player = page.locator(".player").last
        frames = [f"#frame{number}" for number in player.get_attribute("data-frames").split()]
        assert len(set(frames)) == 4
        use = player.locator("use")
        player.locator("button").click()
        page.wait_for_function(
            "([use, frame]) => use.getAttribute('href') === frame", arg=[use.element_handle(), frames[2]]
        )
        player.locator("button").click()
        assert use.get_attribute("href") == frames[0]
        assert (complaints, asked) == ([], [])
        page.close()
