"""Numbered images have times: missing numbers are missing time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.painted import paint, read_numbers

from seqff.cli import main
from seqff.config import PairsConfig, VideoConfig
from seqff.pairs import PairStream
from seqff.pairs.coordinates import partners
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, open_video, scan

LAPSE = [0, 1, 2, 3, 1000, 1001, 1002, 1003]


def pictures(folder: Path, numbers: Iterable[int], name: str = "{:05d}.png") -> Path:
    """Writes pictures that carry their own numbers."""
    folder.mkdir(parents=True)
    for number in numbers:
        assert cv2.imwrite(str(folder / name.format(number)), paint(number))
    return folder


def quick(videos: Path, **settings: object) -> Manifest:
    return scan(videos, out=videos.parent / "m.json", **{"workers": 1, "progress": False, "max_bad": 1.0, **settings})


def pairs(entry: VideoEntry, numbers: list[int], **settings: object) -> list[tuple[int, int]]:
    """The positive pairs of a video, by the numbers of its pictures."""
    config = PairsConfig(**{"skip": "none", "far": 2000, "clip_frames": 1001, **settings})  # type: ignore[arg-type]
    found = partners(entry, config)
    return [(numbers[n], numbers[m]) for n, m in enumerate(found.tolist()) if m < entry.frames]


def test_missing_numbers_are_missing_time(tmp_path: Path) -> None:
    """Pictures 3 and 1000 lie 997 frames apart in time, and the scan says what is missing."""
    (entry,) = quick(pictures(tmp_path / "lapse", LAPSE))
    assert entry.times_seconds.tolist() == pytest.approx([number / 25 for number in LAPSE])
    assert (entry.status, entry.fps, entry.variable_rate) == ("ok", 25.0, True)
    assert "996 numbers missing" in entry.cause
    with open_video(tmp_path / "lapse", entry=entry) as video:
        assert read_numbers(video.clip(0, entry.frames)) == LAPSE
        assert video.info.times_seconds.tolist() == pytest.approx(entry.times_seconds.tolist())


@pytest.mark.parametrize(
    ("numbers", "positions"),
    [
        ([7, 8, 9, 10], [0, 1, 2, 3]),
        ([0, 5, 10, 20, 25], [0, 1, 2, 4, 5]),  # every fifth was kept, and one of those is lost
        ([100, 133, 167, 200, 267, 300], [0, 1, 2, 3, 5, 6]),  # milliseconds at 30 frames a second
        ([1, 2, 5000], [0, 1, 4999]),
        ([3, 1000], [0, 997]),
    ],
)
def test_the_usual_step_of_the_numbers_is_one_frame(tmp_path: Path, numbers: list[int], positions: list[int]) -> None:
    """Numbers may count every n-th frame, or milliseconds: a gap is more than the usual step."""
    (entry,) = quick(pictures(tmp_path / "v", numbers, "f{:d}.png"))
    assert entry.positions.tolist() == positions
    assert bool(entry.cause) == (positions[-1] >= len(numbers))


def test_no_pair_across_a_gap_unless_it_spans_it(tmp_path: Path) -> None:
    """gap counts the pictures that are missing, in frames and in seconds alike."""
    (entry,) = quick(pictures(tmp_path / "lapse", LAPSE))
    assert pairs(entry, LAPSE, gap=1) == [(0, 1), (1, 2), (2, 3), (1000, 1001), (1001, 1002), (1002, 1003)]
    assert pairs(entry, LAPSE, gap=998) == [(2, 1000), (3, 1001)]
    assert pairs(entry, LAPSE, gap=4) == []
    by_time = pairs(entry, LAPSE, gap="0.04s", far="80s")
    assert by_time == pairs(entry, LAPSE, gap=1)


def test_batches_keep_to_the_numbers(tmp_path: Path) -> None:
    """In a training's batches positives are `gap` apart by their numbers, and negatives of one video at least `far`."""
    root = tmp_path / "videos"
    pictures(root / "one", [*range(6), *range(40, 46)])
    pictures(root / "two", [*range(100, 103), *range(106, 112)])
    pictures(root / "whole", range(200, 212))
    config = PairsConfig(
        size_px=48, gap=2, far=5, clip_frames=3, videos_per_batch=3, skip="none",
        crop=1.0, flip=False, brightness=0.0, color_jitter=0.0,
    )  # fmt: skip
    stream = PairStream(quick(root), FrameTransform(48, 64, 0.0, 1.0), config, seed=0)
    batches = stream.batches()
    positives = 0
    for _ in range(8):
        batch = next(batches)
        frames = (batch.frames.permute(0, 2, 3, 1).numpy() * 255).round().clip(0, 255).astype(np.uint8)
        numbers = np.array(read_numbers(frames))
        relation = batch.relation(gap=2, far=5)
        first, second = relation.positive.T.numpy()
        assert (numbers[second] - numbers[first] == 2).all()
        one, two = relation.same_video.numpy().nonzero()
        assert (abs(numbers[one] - numbers[two]) >= 5).all()
        positives += len(first)
    assert positives > 50


def test_two_pictures_with_one_number(tmp_path: Path) -> None:
    """1.png beside 01.png is an error that names both: nobody knows which comes first."""
    folder = pictures(tmp_path / "same", [1, 2, 3], "{:d}.png")
    cv2.imwrite(str(folder / "02.png"), paint(9))
    (entry,) = quick(folder)
    assert (entry.status, entry.frames) == ("unreadable", 0)
    assert "02.png and 2.png have the same number" in entry.cause


def test_the_rate_of_pictures_is_kept_in_the_manifest(tmp_path: Path) -> None:
    """`--video.fps` gives pictures and arrays their times; later scans know it, for new videos too."""
    root, out = tmp_path / "videos", tmp_path / "m.json"
    pictures(root / "even", range(4))
    pictures(root / "gap", [0, 1, 5])
    np.save(root / "array.npy", np.zeros((3, 8, 8), np.uint8))
    arguments = ["scan", str(root), "--out", str(out), "--workers", "1"]
    assert main(arguments) == 0
    assert {entry.fps for entry in Manifest.load(out)} == {25.0}
    assert main([*arguments, "--video.fps", "7.5"]) == 0
    times = {entry.path: entry.times_seconds.tolist() for entry in Manifest.load(out)}
    assert times["even"] == pytest.approx([0, 1 / 7.5, 2 / 7.5, 3 / 7.5])
    assert times["gap"] == pytest.approx([0, 1 / 7.5, 5 / 7.5])
    assert times["array.npy"] == pytest.approx([0, 1 / 7.5, 2 / 7.5])
    pictures(root / "new", range(3))
    again = scan(root, out=out, workers=1, progress=False)
    assert {entry.fps for entry in again} == {7.5}
    assert {entry.fps for entry in scan(out, out=tmp_path / "copy.json", workers=1, progress=False)} == {7.5}
    assert scan(root, out=out, workers=1, progress=False, refresh=True) == again


@pytest.mark.parametrize("fps", [-1.0, float("nan"), float("inf")])
def test_rates_that_are_none(tmp_path: Path, fps: float) -> None:
    """A rate below 0 or without end is an error that names it."""
    pictures(tmp_path / "v", range(3))
    with pytest.raises(ValueError, match=r"video\.fps must be above 0"):
        quick(tmp_path / "v", video=VideoConfig(fps=fps))
