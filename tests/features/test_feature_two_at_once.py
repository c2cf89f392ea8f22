"""Two extractions into one folder: one exact store, and a one-line error for the second."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.extracting import content, take

from seqff.claim import Claim
from seqff.errors import RunError
from seqff.features import FeatureStore

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")


@pytest.mark.parametrize("ways", [{}, {"overwrite": True}], ids=["fresh", "overwrite"])
def test_a_store_in_use_is_left_alone(run: Path, clips: Path, tmp_path: Path, ways: dict[str, bool]) -> None:
    """Whoever begins anew does not do it where another process is at work; nothing there is changed."""
    take(run, clips, tmp_path / "store", baselines=())
    before = content(tmp_path / "store")
    with Claim(tmp_path / "store"), pytest.raises(RunError, match=f"in use by process {os.getpid()} on "):
        take(run, clips, tmp_path / "store", **ways)
    assert content(tmp_path / "store") == before


def test_who_resumes_waits(
    run: Path, clips: Path, tmp_path: Path, whole: FeatureStore, caplog: pytest.LogCaptureFixture
) -> None:
    """With resume the second says for whom it waits, and then has the store."""
    held = Claim(tmp_path / "store")
    done: list[FeatureStore] = []
    second = threading.Thread(target=lambda: done.append(take(run, clips, tmp_path / "store", resume=True)))
    second.start()
    while not caplog.messages:
        second.join(0.01)
    assert f"store is in use by process {os.getpid()} on " in caplog.messages[0]
    held.close()
    second.join()
    assert done[0].finished
    assert content(tmp_path / "store") == content(whole.path)


@pytest.mark.parametrize("flags", [["--resume"], []], ids=["resume", "fresh"])
def test_started_together(run: Path, clips: Path, tmp_path: Path, whole: FeatureStore, flags: list[str]) -> None:
    """With --resume both end well with the same store; without, the second ends with one line."""
    command = [sys.executable, "-m", "seqff", "extract", str(run), str(clips), "--out", str(tmp_path / "store"), *flags]
    command += ["--device", "cpu", "--batch-frames", "8", "--no-progress"]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, env={**os.environ, **one}, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes == ([0, 0] if flags else [0, 1])
    assert "cannot be read" not in "".join(said)
    assert sum(len(text.splitlines()) for text in said) <= 1
    assert flags or "store" in "".join(said)
    assert content(tmp_path / "store") == content(whole.path)
