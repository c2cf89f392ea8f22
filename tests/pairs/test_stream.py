"""The stream of batches: resuming, ranks, workers, failures, the cache."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqff.config import PairsConfig
from seqff.errors import SeqffError, VideoError
from seqff.pairs import FrameBatch, PairStream, visits
from seqff.pairs.augment import augment
from seqff.transform import FrameTransform
from seqff.video import Manifest, VideoEntry, scan

CONFIG = PairsConfig(
    gap=2,
    far=6,
    videos_per_batch=4,
    buffer_videos=4,
    clips_per_video=2,
    clip_frames=3,
    batches_per_visit=2,
    crop=0.7,
    brightness=0.2,
)
SMALL = FrameTransform(16, 16)
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")


@pytest.fixture(scope="module")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The eight clips: with CONFIG, rounds of 4 videos make 2 batches, and two rounds an epoch."""
    return scan(clips, out=tmp_path_factory.mktemp("manifest") / "manifest.json", workers=1, progress=False)


def take(batches: Iterator[FrameBatch], count: int) -> list[FrameBatch]:
    """Return the next batches."""
    return list(itertools.islice(batches, count))


def same(one: FrameBatch, two: FrameBatch) -> bool:
    """Return whether two batches are bit-identical."""
    pairs = zip((one.frames, one.video, one.time), (two.frames, two.video, two.time), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def without(manifest: Manifest, folder: Path) -> Manifest:
    """Return the same manifest over a copy of the videos that a test may damage."""
    shutil.copytree(manifest.root, folder)
    return replace(manifest, root=folder)


def test_resuming_in_the_middle_decodes_one_round_and_goes_on_alike(manifest: Manifest, tmp_path: Path) -> None:
    """From batch 1001 on (the second of round 500) the 4 videos of that round suffice: all others are deleted."""
    stream = PairStream(manifest, SMALL, CONFIG, seed=0)
    before = take(stream.batches(998), 6)
    few = without(manifest, tmp_path / "videos")
    needed = stream.plan.videos(500).tolist()
    for number, entry in enumerate(few.usable):
        if number not in needed:
            (few.root / entry.path).unlink()
    assert len(needed) == 4
    assert same(next(PairStream(few, SMALL, CONFIG, seed=0).batches(1001)), before[3])


def test_a_small_set_is_decoded_once(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an epoch the bytes of the files are not read again; a set that is too large is, and its batches are alike.

    The spoilt files look as when they were scanned: the same size and time.
    """
    spoilt = without(manifest, tmp_path / "videos")
    stream = PairStream(spoilt, SMALL, CONFIG, seed=0).batches()
    kept = take(stream, 4)
    for entry in spoilt.usable:
        (spoilt.root / entry.path).write_bytes(bytes(entry.bytes))
        os.utime(spoilt.root / entry.path, ns=(entry.mtime_ns, entry.mtime_ns))
    kept += take(stream, 4)
    monkeypatch.setattr(visits, "KEPT_BYTES", 0)
    with pytest.raises(SeqffError):
        take(PairStream(spoilt, SMALL, CONFIG, seed=0).batches(), 1)
    every = take(PairStream(manifest, SMALL, CONFIG, seed=0).batches(), 8)
    assert all(same(one, two) for one, two in zip(kept, every, strict=True))


def test_frames_are_augmented_on_the_device(manifest: Manifest) -> None:
    """Everything runs on the device: a fake one without values, to detect reads. Coordinates stay on the CPU."""
    config = replace(CONFIG, color_jitter=0.5)
    there = next(PairStream(manifest, SMALL, config, seed=0, device="meta").batches())
    here = next(PairStream(manifest, SMALL, config, seed=0).batches())
    assert there.frames.device.type == "meta"
    assert (there.frames.shape, there.frames.stride()) == (here.frames.shape, here.frames.stride())
    assert torch.equal(there.time, here.time)


def test_ranks_share_the_rounds_of_one_epoch(manifest: Manifest) -> None:
    """Two ranks share the rounds of one process in turn: in an epoch every video once, none in both."""
    alone = take(PairStream(manifest, SMALL, CONFIG, seed=0).batches(), 8)
    ranks = [PairStream(manifest, SMALL, CONFIG, seed=0, rank=rank, world=2) for rank in (0, 1)]
    shared = [take(stream.batches(), 4) for stream in ranks]
    assert all(same(a, b) for a, b in zip(shared[0], [*alone[:2], *alone[4:6]], strict=True))
    assert all(same(a, b) for a, b in zip(shared[1], [*alone[2:4], *alone[6:8]], strict=True))
    seen = [{int(video) for batch in batches[:2] for video in batch.video} for batches in shared]
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == set(range(8))
    assert same(next(ranks[1].batches(3)), shared[1][3])


def test_a_lost_file_is_replaced_alike_with_and_without_workers_and_the_limit_holds(
    manifest: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One missing video of eight: reported once, same batches; a second exceeds max_bad=0.2, and both are named."""
    spoilt = without(manifest, tmp_path / "videos")
    paths = [entry.path for entry in spoilt.usable]
    (spoilt.root / paths[2]).unlink()
    here = take(PairStream(spoilt, SMALL, CONFIG, seed=0, max_bad=0.2).batches(), 6)
    caplog.clear()
    batches = PairStream(spoilt, SMALL, CONFIG, seed=0, max_bad=0.2, workers=1).batches()
    assert all(same(a, b) for a, b in zip(here, take(batches, 6), strict=True))
    assert sum(paths[2] in record.getMessage() for record in caplog.records) == 1
    (spoilt.root / paths[5]).unlink()
    with pytest.raises(SeqffError, match="2 of 8 videos could not be read, more than 20%") as caught:
        take(batches, 40)
    assert all(path in str(caught.value) for path in (paths[2], paths[5]))
    assert "Traceback" not in str(caught.value)


def test_when_nothing_can_be_read_it_stops(manifest: Manifest, tmp_path: Path) -> None:
    """All files missing within the limit: an error after ten consecutive failures, with the last cause."""
    spoilt = without(manifest, tmp_path / "videos")
    shutil.rmtree(spoilt.root)
    with pytest.raises(SeqffError, match=r"10 videos in a row.*mp4: gone since"):
        next(PairStream(spoilt, SMALL, CONFIG, seed=0, max_bad=1.0).batches())


def hanging_stream(manifest: Manifest, tmp_path: Path, timeout_seconds: float) -> tuple[PairStream, Path]:
    """Return a stream with one decoding process, and its first video: a pipe that blocks on opening."""
    spoilt = without(manifest, tmp_path / "videos")
    hanging = int(PairStream(manifest, SMALL, CONFIG, seed=0).plan.videos(0)[0])
    entries = list(spoilt.entries)
    pipe = spoilt.root / entries[hanging].path
    pipe.unlink()
    os.mkfifo(pipe)
    entries[hanging] = replace(entries[hanging], reader="pyav", bytes=0, mtime_ns=pipe.stat().st_mtime_ns)
    spoilt = replace(spoilt, entries=tuple(entries))
    return PairStream(spoilt, SMALL, CONFIG, seed=0, workers=1, timeout_seconds=timeout_seconds), pipe


@needs_pipes
def test_a_hanging_file_is_named(manifest: Manifest, tmp_path: Path) -> None:
    """If a worker hangs on a pipe, the stream ends with an error that names it."""
    stream, pipe = hanging_stream(manifest, tmp_path, 2)
    with pytest.raises(VideoError, match=r"the reader hangs, no frame in 2 s.*reader: pyav") as caught:
        next(stream.batches())
    assert caught.value.path == str(pipe)


@needs_pipes
def test_a_decoding_process_that_dies_names_what_it_read(manifest: Manifest, tmp_path: Path) -> None:
    """A worker killed while reading, as by the out-of-memory killer."""
    stream, pipe = hanging_stream(manifest, tmp_path, 60)
    others = multiprocessing.active_children()  # left by earlier tests

    def kill() -> None:
        while True:
            try:
                os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)  # an error until there is a reader
                break
            except OSError:
                time.sleep(0.02)
        for process in set(multiprocessing.active_children()).difference(others):
            process.kill()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(VideoError, match=r"the process that read it died") as caught:
        next(stream.batches())
    assert caught.value.path == str(pipe)


def test_copies_share_an_identity_whatever_became_of_the_original(manifest: Manifest) -> None:
    """Copies of a file are one video in relations; a set of copies of one video is refused."""
    first, *others = manifest.usable
    copies = [replace(first, path=f"copy{n}.mp4", duplicate_of=first.path) for n in (1, 2)]
    stream = PairStream(replace(manifest, entries=(*others, *copies)), SMALL, CONFIG, seed=0)
    assert stream.identity.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 7]
    with pytest.raises(ValueError, match="all 3 are copies of one"):
        PairStream(replace(manifest, entries=(first, *copies)), SMALL, CONFIG, seed=0)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        ({"videos_per_batch": 16}, {}, "videos_per_batch=16, but there are only 8 videos"),
        ({"buffer_videos": 2}, {}, "buffer_videos=2 is less than a batch needs: 4 are held"),
        ({"videos_per_batch": 8, "weights": "sqrt"}, {}, "weights=sqrt changes nothing"),
        ({}, {"workers": 9}, "workers=9, but a round opens only 4 videos"),
        ({}, {"world": 3}, "world=3, but an epoch is only 2 rounds of 4 videos"),
        ({"far": 16}, {}, "no video is longer than pairs.far"),
        ({"gap": "0.08s", "far": "0.61s"}, {}, "no video is longer than pairs.far"),
    ],
)
def test_what_the_videos_cannot_give_is_said_at_once(
    manifest: Manifest, caplog: pytest.LogCaptureFixture, change: Any, arguments: Any, message: str
) -> None:
    """A warning at construction, but batches are still made."""
    with caplog.at_level(logging.WARNING):
        PairStream(manifest, SMALL, CONFIG, seed=0)
        assert not caplog.records
        stream = PairStream(manifest, SMALL, replace(CONFIG, **change), seed=0, **arguments)
    assert message in caplog.text
    if not stream.workers:
        assert len(next(stream.batches()).relation(gap=2, far=6).positive) > 0


@pytest.mark.parametrize("arguments", [{"workers": -1}, {"rank": 2, "world": 2}, {"world": 0}, {"timeout_seconds": 0}])
def test_impossible_arguments_are_refused(manifest: Manifest, arguments: Any) -> None:
    """The error states the given values and what is allowed."""
    with pytest.raises(ValueError, match="workers must be at least 0"):
        PairStream(manifest, SMALL, CONFIG, seed=0, **arguments)


def test_a_video_of_short_shots_is_left_out_by_name(manifest: Manifest, caplog: pytest.LogCaptureFixture) -> None:
    """A video with cuts after every second frame has no pair of gap 2: reported and skipped, but used with
    skip="none"."""
    cut = replace(manifest.usable[0], cut_runs=((1, 1), (2, 7)))
    given = replace(manifest, entries=(cut, *manifest.entries[1:]))
    stream = PairStream(given, SMALL, CONFIG, seed=0)
    assert stream.without_pair == [cut.path]
    assert "within a shot" in caplog.text
    assert cut.path in caplog.text
    assert len(PairStream(given, SMALL, replace(CONFIG, skip="none"), seed=0).entries) == 8


def test_seconds_reach_the_batch(manifest: Manifest) -> None:
    """At 25 frames per second 0.08 s is a gap of 2 frames: the same positives, by time."""
    config = replace(CONFIG, gap="0.08s", far="0.24s")
    for by_time, by_frames in zip(
        take(PairStream(manifest, SMALL, config, seed=0).batches(), 3),
        take(PairStream(manifest, SMALL, CONFIG, seed=0).batches(), 3),
        strict=True,
    ):
        assert same(by_time, by_frames)
        one, two = by_time.relation(gap=0.08, far=0.24, unit="seconds"), by_frames.relation(gap=2, far=6)
        assert torch.equal(one.positive, two.positive)
        assert torch.equal(one.same_video, two.same_video)


def test_the_cache_changes_nothing_but_the_time(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """u8: bit-identical batches from cached files, filled in advance or on demand."""
    plain = take(PairStream(manifest, SMALL, CONFIG, seed=0).batches(), 4)
    monkeypatch.setenv("SEQFF_CACHE", str(tmp_path))
    config = replace(CONFIG, cache="u8")
    stream = PairStream(manifest, SMALL, config, seed=0)
    stream.fill_cache(progress=False)
    files = sorted((tmp_path / "frames").iterdir())
    assert len(files) == 8
    assert all(same(a, b) for a, b in zip(plain, take(stream.batches(), 4), strict=True))
    files[0].unlink()
    assert all(same(a, b) for a, b in zip(plain, take(stream.batches(), 4), strict=True))


def test_a_cache_that_cannot_be_written_is_told_as_such(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in place of the cache folder is not blamed on the videos: the error says what is wrong and what to set."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEQFF_CACHE", str(tmp_path / "file"))
    with pytest.raises(SeqffError, match=r"file.* SEQFF_CACHE"):
        next(PairStream(manifest, SMALL, replace(CONFIG, cache="u8"), seed=0).batches())


def test_visits_know_their_videos(manifest: Manifest) -> None:
    """The rows of a batch have the identity of the video they were decoded from."""
    stream = PairStream(
        manifest, SMALL, replace(CONFIG, crop=1.0, flip=False, brightness=0.0, color_jitter=0.0), seed=0
    )
    batch = next(stream.batches())
    entries: list[VideoEntry] = stream.entries
    for video in batch.video.unique().tolist():
        rows = batch.video == video
        with stream.dataset.open(video) as reader:
            assert torch.equal(SMALL(reader.at(batch.time[rows].numpy())), batch.frames[rows]), entries[video].path


def test_a_plain_stream_leaves_frames_as_they_are(manifest: Manifest) -> None:
    """Plain batches are neither cropped nor mirrored, with unchanged exposure and colors."""
    config = PairStream(manifest, SMALL, CONFIG, seed=0).plain().config
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8))
    assert torch.equal(augment(frames, SMALL, config, np.random.default_rng(1)), SMALL(frames))
