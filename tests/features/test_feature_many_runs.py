"""Many runs in one pass over the videos: the same stores as separately, with one decoding."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.extracting import content, take

from seqff.config import EncoderConfig
from seqff.features import decoding
from seqff.features.extraction import StoreRequest, extract_many
from seqff.nets import build_encoder, load_encoder, save_encoder
from seqff.transform import FrameTransform

OPTIONS: dict[str, Any] = {"device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def runs(run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The run of the other tests, one of other weights, and one that sees frames of another size."""
    found = [run]
    for seed, size in ((7, None), (8, (12, 16))):
        folder = tmp_path_factory.mktemp("run")
        shutil.copytree(run, folder, dirs_exist_ok=True)
        transform = FrameTransform(*size) if size else load_encoder(run).transform
        encoder = build_encoder(
            EncoderConfig(widths=(4, 6), kernels=(3, 3), strides=(2, 1), pools=(1, 1)), transform, seed=seed
        )
        save_encoder(encoder, folder, untrained=True)
        with torch.no_grad():
            next(encoder.parameters()).mul_(1.5)
        save_encoder(encoder, folder)
        found.append(folder)
    return found


def wanted(runs: list[Path], home: Path) -> list[StoreRequest]:
    """All baselines beside the first run and the last, none beside the second."""
    beside = [("untrained", "pixels"), (), ("untrained", "pixels")]
    return [StoreRequest(run, home / str(place), beside[place]) for place, run in enumerate(runs)]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each video is opened."""
    count: Counter[str] = Counter()
    open_video = decoding.open_video

    def counted(path: Path, **options: Any) -> Any:
        count[path.name] += 1
        return open_video(path, **options)

    monkeypatch.setattr(decoding, "open_video", counted)
    return count


@pytest.mark.parametrize("per", ["video", "frame"])
def test_each_store_is_the_one_its_run_gives_by_itself(
    runs: list[Path], clips: Path, tmp_path: Path, per: str, opened: Counter[str]
) -> None:
    """Byte for byte, arrays, index and meta.json; runs that see the same size share one decoding."""
    extract_many(wanted(runs, tmp_path / "all"), clips, work=tmp_path / "work", per=per, **OPTIONS)  # type: ignore[arg-type]
    assert set(opened.values()) == {2}  # two sizes
    for one in wanted(runs, tmp_path / "alone"):
        take(one.run, clips, one.out, per=per, baselines=one.baselines, batch_frames=64)
    together, alone = content(tmp_path / "all"), content(tmp_path / "alone")
    assert together.keys() == alone.keys()
    assert [name for name in alone if alone[name] != together[name]] == []
    assert not (tmp_path / "work").exists()


def test_it_goes_on_where_it_was(
    runs: list[Path], clips: Path, tmp_path: Path, opened: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the last video: those before it are not decoded again, and finished stores are not touched."""
    both = wanted(runs[:2], tmp_path)
    counted = decoding.open_video

    def until_the_last(path: Path, **options: Any) -> Any:
        if path.name == "e.avi":
            raise RuntimeError("the power went")
        return counted(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "open_video", until_the_last)
        with pytest.raises(RuntimeError, match="the power went"):
            extract_many(both, clips, work=tmp_path / "work", **OPTIONS)
    opened.clear()
    extract_many(both, clips, work=tmp_path / "work", **OPTIONS)
    assert set(opened) == {"e.avi"}
    before = content(tmp_path)
    opened.clear()
    found = extract_many(both, clips, work=tmp_path / "work", **OPTIONS)
    assert [len(store) for store in found] == [5, 5]
    assert not opened
    assert content(tmp_path) == before
