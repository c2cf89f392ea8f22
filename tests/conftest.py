"""What all tests share: clips made once, caches and threads kept to themselves."""

from __future__ import annotations

import os

# before torch is there: sums depend on the number of threads, and runs in this process are compared with runs in others
os.environ["OMP_NUM_THREADS"] = "1"

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.clips import write_clips
from helpers.small_runs import CONFIG

import seqff
from seqff.train import train


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight clips of 16 frames in two classes; not to be changed."""
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips, scanned once for all tests of training."""
    path = tmp_path_factory.mktemp("scan") / "manifest.json"
    seqff.scan(clips, out=path, workers=1, progress=False)
    return path


@pytest.fixture(scope="session")
def uninterrupted(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of small_runs.CONFIG that nothing interrupted; not to be changed."""
    return train(manifest, out=tmp_path_factory.mktemp("runs") / "whole", config=CONFIG, progress=False).path


@pytest.fixture(scope="module")  # of a session, its event loop would run on beside other tests
def browser() -> Iterator[Any]:
    """Debian's chromium, without a window."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with playwright.sync_playwright() as running:
        # a container's root cannot have the sandbox, and the page is our own
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests a test writes by default land in its own folder."""
    monkeypatch.setenv("SEQFF_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small nets run faster, and bit for bit alike, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws without a seed of its own is the same each time: a draw in a thousand would fail it else."""
    torch.manual_seed(0)
