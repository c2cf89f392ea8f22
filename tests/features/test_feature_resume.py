"""An extraction interrupted at any moment and in any way ends with the same store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.extracting import NAMES, content, scan_of, take

import seqff.features.decoding as decoding
import seqff.features.job as job
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.features.describe import FrameDescriber

no_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt the process, as Ctrl-C does, when so many batches have been described."""
    left = iter(range(batches))
    original = FrameDescriber.__call__

    def stopping(self: FrameDescriber, frames: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(self, frames)

    monkeypatch.setattr(FrameDescriber, "__call__", stopping)


@pytest.mark.parametrize("whole_store", ["whole", "whole_by_frame"])
@pytest.mark.parametrize("batches", [0, 2, 5, 10])
def test_resumed_store_is_the_uninterrupted_one(
    run: Path,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    batches: int,
    whole_store: str,
) -> None:
    """Stopped at any batch and resumed, every file is byte for byte that of an extraction nothing happened to."""
    undisturbed: FeatureStore = request.getfixturevalue(whole_store)
    with monkeypatch.context() as patch:
        stop_after(batches, patch)
        with pytest.raises(KeyboardInterrupt):
            take(run, clips, tmp_path / "store", per=undisturbed.per)
    with pytest.raises(RunError, match="has not finished"):
        FeatureStore.open(tmp_path / "store")
    take(run, clips, tmp_path / "store", per=undisturbed.per, resume=True)
    assert content(tmp_path / "store") == content(undisturbed.path)


def test_stopped_while_joining(
    run: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: FeatureStore
) -> None:
    """Stopped between the array files and meta.json, it resumes without a video being opened again."""
    with monkeypatch.context() as patch:
        patch.setattr(job, "write_tables", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take(run, clips, tmp_path / "store")
    for left in ("arrays/layer1.npy.77.partial", ".meta.json.77.partial"):  # as a kill would leave them
        (tmp_path / "store" / left).write_bytes(b"half")
    monkeypatch.setattr(decoding, "open_video", lambda *_, **__: pytest.fail("a finished video was opened again"))
    take(run, clips, tmp_path / "store", resume=True)
    assert content(tmp_path / "store") == content(whole.path)


KILLED = """
import os, signal, sys, torch
from seqff.features import extract
from seqff.features.describe import FrameDescriber
torch.set_num_threads(int(sys.argv[4]))
original, seen = FrameDescriber.__call__, []
def deadly(self, frames):
    seen.append(None)
    if len(seen) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, frames)
FrameDescriber.__call__ = deadly
extract(sys.argv[1], sys.argv[2], out=sys.argv[3], device="cpu", batch_frames=8, progress=False)
"""


@no_kill
def test_killed_in_the_middle_of_a_video(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """After kill -9 the half-written video is not seen, finished ones are kept, and the resumed store is identical."""
    arguments = [run, clips, tmp_path / "store", torch.get_num_threads()]
    child = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "store/parts").glob("*.npy"))) == 2
    take(run, clips, tmp_path / "store", resume=True)
    assert content(tmp_path / "store") == content(whole.path)


KILLED_OFTEN = """
import os, random, shutil, signal, sys, time, warnings
from pathlib import Path
import torch
from seqff.features import extract
warnings.simplefilter("ignore")
torch.set_num_threads(1)
run, clips, out = map(Path, sys.argv[1:4])

def start():
    child = os.fork()  # one import of torch for all
    if not child:
        try:
            extract(run, clips, out=out, device="cpu", batch_frames=8, progress=False, resume=True)
        finally:
            os._exit(0 if (out / "meta.json").exists() else 1)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

began = time.monotonic()
assert ended(start()) == 0
whole = time.monotonic() - began
shutil.rmtree(out)
moments, kills = random.Random(0), 0
while kills < 10:
    child = start()
    time.sleep(moments.uniform(0, whole))  # a random moment
    os.kill(child, signal.SIGKILL)
    kills += ended(child) == -signal.SIGKILL
    if kills < 10 and (out / "meta.json").exists():
        shutil.rmtree(out)
assert (out / "meta.json").exists() or ended(start()) == 0
"""


@no_kill
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_killed_at_random_moments(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore) -> None:
    """Killed with kill -9 at ten random moments and resumed each time, every file is byte for byte the same."""
    arguments = [str(path) for path in (run, clips, tmp_path / "store")]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KILLED_OFTEN, *arguments], check=True, env={**os.environ, **one})
    take(run, clips, tmp_path / "store", resume=True)
    assert content(tmp_path / "store") == content(whole.path)


def test_resuming_needs_the_same_settings(run: Path, clips: Path, tmp_path: Path) -> None:
    """What would mix two kinds of rows is refused and named; a finished store is returned as it is."""
    store = take(run, clips, tmp_path / "store")
    with pytest.raises(RunError, match="was started with grid 2, now it is 1"):
        take(run, clips, tmp_path / "store", grid=1, resume=True)
    with pytest.raises(RunError, match="was started with dtype fp32, now it is fp16"):
        take(run, clips, tmp_path / "store", dtype="fp16", resume=True)
    before = content(store.path)
    take(run, clips, tmp_path / "store", resume=True)
    assert content(store.path) == before
    few = clips.parent / "videos/run"
    with pytest.raises(RunError, match="finished, but for other videos"):
        take(run, scan_of(few, tmp_path), tmp_path / "store", resume=True)


def test_folder_that_exists(run: Path, clips: Path, tmp_path: Path) -> None:
    """A store is not written over unless asked for, and a folder with other things in it never."""
    take(run, clips, tmp_path / "store", baselines=())
    with pytest.raises(RunError, match="store exists; resume continues it, overwrite deletes it"):
        take(run, clips, tmp_path / "store")
    assert take(run, clips, tmp_path / "store", overwrite=True).names == NAMES
    with pytest.raises(RunError, match=r"holds other things \(no settings.json in it\); nothing was touched"):
        take(run, clips, clips.parent, overwrite=True)
    assert clips.exists()
    with pytest.raises(ValueError, match="exclude each other"):
        take(run, clips, tmp_path / "store", overwrite=True, resume=True)
