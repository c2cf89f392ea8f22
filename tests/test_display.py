"""Results in notebooks and as pandas tables: short, escaped, and clear about missing values."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqff
from seqff.display import framed
from seqff.errors import RunError
from seqff.explore.classify import Classification, Classified
from seqff.explore.cluster import Cluster, Clustering
from seqff.explore.moments import Moment
from seqff.explore.search import Hit, SearchResult
from seqff.features import StoredVideo, write_store
from seqff.nets import build_encoder
from seqff.training.run_folder import Run
from seqff.transform import FrameTransform

HOSTILE = "<script>alert(1)</script>"


EXPLORED: dict[str, Callable[[Moment, Path], Any]] = {
    "SearchResult": lambda at, path: SearchResult(at, "layer1", "all", (Hit(at, 0.5),) * 40, 0.1),
    "Clustering": lambda at, path: Clustering(
        "kmeans", "layer1", (), (Cluster(1, 9, 9.0, 1, 1, (at,)),) * 40, np.ones(9, np.int64), path
    ),
    "Classification": lambda at, path: Classification(
        "layer1", 0.5, ("a", HOSTILE), (Classified(at.video, 0.0, 0, 9, HOSTILE, 1.0, False),) * 40, np.ones((40, 2))
    ),
}


def of_kind(kind: str, manifest: Path, tmp_path: Path) -> Any:
    """A result of a kind, with a name of a stranger in it where one can be."""
    if kind == "Manifest":
        found = seqff.Manifest.load(manifest)
        return replace(found, entries=tuple(replace(entry, path=f"{HOSTILE}/{entry.path}") for entry in found))
    if kind == "Run":
        (tmp_path / "metrics.jsonl").write_text('{"step": 10, "layer1/loss": 0.5}\n{"step": 20, "layer1/loss": 0.25}\n')
        encoder = build_encoder(seqff.TrainConfig().encoder, FrameTransform(16, 32), seed=0)
        return Run(tmp_path, encoder, {f"{HOSTILE}/loss": 0.25}, 3.0)
    if kind in EXPLORED:
        at = Moment(f"{HOSTILE}.avi", 0, 0.0, 0.5, 0)
        return EXPLORED[kind](at, tmp_path)
    rows, rng = 40, np.random.default_rng(0)
    videos = [StoredVideo(f"{'ab'[row % 2]}/{row}.avi", str(row), 10) for row in range(rows)]
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    store = write_store(tmp_path / "store", {"layer1": x, "layer<b>2": 2 * x}, videos=videos)
    return store if kind == "FeatureStore" else seqff.probe(store, labels="folder", out=None, progress=False)


@pytest.mark.parametrize("kind", ["Manifest", "Run", "FeatureStore", "ProbeResult", *EXPLORED])
def test_results_are_short_and_escaped(kind: str, manifest: Path, tmp_path: Path) -> None:
    """A repr is one line however much there is; in a notebook a table, in which names of strangers are text."""
    result = of_kind(kind, manifest, tmp_path)
    assert repr(result).startswith(f"{kind}(")
    assert "\n" not in repr(result)
    assert len(repr(result)) < 200 + len(str(tmp_path))
    page = result._repr_html_()
    assert "<table>" in page
    assert "<script>" not in page
    assert "<b>2" not in page


class _Frames(HTMLParser):
    """The attributes of the frames in a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "iframe":
            self.found.append(dict(attrs))


def test_a_page_is_shown_in_a_frame(tmp_path: Path) -> None:
    """Whole, and shut off from the notebook: what it holds ends no attribute, and its scripts reach nothing outside."""
    page = tmp_path / "page.html"
    page.write_text(f"""<p title="a">'{HOSTILE}' &amp; "b"</p></iframe>""", encoding="utf-8")
    (frame,) = _Frames(framed(page)).found
    assert frame["srcdoc"] == page.read_text(encoding="utf-8")
    assert frame["sandbox"] == "allow-scripts"
    page.unlink()
    assert not _Frames(framed(page)).found


@pytest.mark.parametrize("kind", ["Manifest", "Run", "FeatureStore", "ProbeResult"])
def test_without_pandas_it_says_how_to_get_it(
    kind: str, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that installs it is in the error."""
    result = of_kind(kind, manifest, tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RunError, match=r"pip install 'seqff\[pandas\]'"):
        result.to_frame()


@pytest.mark.parametrize(
    ("kind", "column", "rows"),
    [("Manifest", "frames", 8), ("Run", "layer1/loss", 2), ("FeatureStore", "layer1/0", 40), ("ProbeResult", "low", 3)],
)
def test_a_table_of_pandas_has_a_row_each(kind: str, column: str, rows: int, manifest: Path, tmp_path: Path) -> None:
    """A video, a logged step, a row of features, a probe and the majority class."""
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = of_kind(kind, manifest, tmp_path).to_frame()
    assert column in frame.columns
    assert len(frame) == rows


def test_a_layer_is_asked_for_by_name_or_number(tmp_path: Path, manifest: Path) -> None:
    """The same array either way; a misspelled name gets a suggestion."""
    store = of_kind("FeatureStore", manifest, tmp_path)
    assert np.array_equal(store.to_numpy(0), store.to_numpy("layer1"))
    assert np.array_equal(store.to_numpy(-1), store.to_numpy("layer<b>2"))
    assert seqff.similarity([store.path], layers=[0, -1]).names == ("layer1", "layer<b>2")
    with pytest.raises(ValueError, match="did you mean 'layer1'"):
        store.array("layer_1")
