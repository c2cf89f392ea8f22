"""Several processes fill the same store as one, whoever finishes last and whatever is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.extracting import content, take

from seqff.errors import RunError, VideoError
from seqff.features import FeatureStore, decoding, job
from seqff.features.job import Shard
from seqff.features.parts import Parts
from seqff.features.settings import SETTINGS


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_last_of_all_ranks_joins_the_store(
    run: Path, clips: Path, tmp_path: Path, whole: FeatureStore, order: tuple[int, ...]
) -> None:
    """Ranks do disjoint videos; the last joins the store, byte for byte that of one process, for all to read."""
    stores = []
    for done, rank in enumerate(order):
        assert not any(store.finished for store in stores)
        stores.append(take(run, clips, tmp_path / "store", rank=rank, world_size=3))
        parts = list((tmp_path / "store/parts").glob("*.npy"))
        assert done == 2 or len(parts) == sum(len(range(rank, 5, 3)) for rank in order[: done + 1])
    assert content(tmp_path / "store") == content(whole.path)
    assert [len(store) for store in stores] == [5, 5, 5]


def test_an_unfinished_store_says_so(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """It cannot be read; a process without a rank does what is left, the rows that are there are kept."""
    store = take(run, clips, tmp_path / "store", rank=1, world_size=2)
    assert not store.finished
    assert "not finished" in repr(store)
    with pytest.raises(RunError, match="has not finished"):
        store.to_numpy("layer1")
    take(run, clips, tmp_path / "store", resume=True)
    assert content(tmp_path / "store") == content(whole.path)


def test_ranks_at_the_same_time(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """Started together as torchrun would start them, they give that store, too."""
    command = [sys.executable, "-m", "seqff", "extract", str(run), str(clips), "--out", str(tmp_path / "store")]
    command += ["--device", "cpu", "--batch-frames", "8", "--no-progress"]
    common = {**os.environ, "WORLD_SIZE": "2", "OMP_NUM_THREADS": str(torch.get_num_threads())}
    started = [subprocess.Popen(command, env={**common, "RANK": str(rank)}, stdout=-1, text=True) for rank in (0, 1)]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert any("written" in text for text in said)
    assert content(tmp_path / "store") == content(whole.path)


def test_nobody_joins_the_store_while_a_rank_notes_what_it_could_not_read(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever joins sweeps half-written files away: the note is written under the lock that joining takes, and not at
    all once the store is finished."""
    fcntl = pytest.importorskip("fcntl")
    note, noted = Parts.note_failed, list[int]()

    def locked(self: Parts, rank: int, causes: Mapping[str, str]) -> None:
        with (tmp_path / "store" / SETTINGS).open("r+b") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        noted.append(rank)
        note(self, rank, causes)

    original, others = job.decode_videos, [1]

    def joined_at_the_end(*arguments: Any, **options: Any) -> Iterator[Any]:
        yield from original(*arguments, **options)
        if others:
            take(run, clips, tmp_path / "store", rank=others.pop(), world_size=2)

    monkeypatch.setattr(Parts, "note_failed", locked)
    monkeypatch.setattr(job, "decode_videos", joined_at_the_end)
    assert take(run, clips, tmp_path / "store", rank=0, world_size=2).finished
    assert noted == [1]
    assert not (tmp_path / "store/parts").exists()


def test_what_a_rank_cannot_read_is_listed(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rank that joins lists what another could not read, with its cause."""
    original = decoding.open_video

    def failing(path: Path, **rest: object) -> object:
        if path.name == "a.avi":
            raise VideoError(path, "pyav", "disk on fire")
        return original(path, **rest)

    monkeypatch.setattr(decoding, "open_video", failing)
    take(run, clips, tmp_path / "store", rank=0, world_size=2, max_bad=0.2)
    monkeypatch.undo()
    store = take(run, clips, tmp_path / "store", rank=1, world_size=2, max_bad=0.2)
    assert list(store.skipped) == ["run/a.avi"]
    assert "disk on fire" in store.skipped["run/a.avi"]


def test_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares come from the arguments, else from torchrun, else there is one; overwriting is not for shares."""
    assert Shard.of(None, None) == Shard(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert Shard.of(None, None) == Shard(2, 3)
    assert Shard.of(0, 2) == Shard(0, 2)
    assert sorted(n for rank in range(3) for n in Shard(rank, 3).part(range(8))) == list(range(8))
    with pytest.raises(ValueError, match="would delete what other ranks have done"):
        take(Path("run"), Path("videos"), Path("store"), overwrite=True)
    monkeypatch.setenv("WORLD_SIZE", "many")
    with pytest.raises(ValueError, match=r"RANK or WORLD_SIZE in the environment: .*many"):
        Shard.of(None, None)
