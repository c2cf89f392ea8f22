"""The report of a real data set stays small."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.reading_pages import read_page

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.nets import build_encoder, save_encoder
from seqff.report import report
from seqff.training.run_folder import create_run
from seqff.transform import FrameTransform
from seqff.video import scan

VIDEOS = Path(__file__).parents[2].parent / "shared" / "data" / "weizmann"


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs ../shared/data/weizmann")
def test_the_page_of_weizmann_is_under_5_mb(tmp_path: Path) -> None:
    """All 90 videos, with pictures of each, on a page of less than 5 MB; an unfinished run is enough for it."""
    run = tmp_path / "run"
    create_run(run, {"seed": 0, **to_dict(TrainConfig())})
    scan(VIDEOS, out=run / "manifest.json", workers=1, progress=False)
    for untrained in (True, False):
        save_encoder(build_encoder(TrainConfig().encoder, FrameTransform(64, 80)), run, untrained=untrained)
    done = report(run, out=tmp_path / "page.html", device="cpu", progress=False)
    assert done.bytes < 5_000_000
    page = read_page(done.path.read_text(encoding="utf-8"))
    dots = [element for element in page.elements if "data-clip" in element.attributes]
    assert len(dots) == 90 * 5  # four layers and pixels
