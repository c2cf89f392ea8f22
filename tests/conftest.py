"""Shared fixtures: clips generated once, isolated caches, and a fixed number of threads."""

from __future__ import annotations

import os

# before torch is imported: sums depend on the number of threads, and results are compared between processes
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
    """A folder of eight clips of 16 frames in two classes; do not modify."""
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="session")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of the clips, scanned once for all training tests."""
    path = tmp_path_factory.mktemp("scan") / "manifest.json"
    seqff.scan(clips, out=path, workers=1, progress=False)
    return path


@pytest.fixture(scope="session")
def uninterrupted(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of small_runs.CONFIG; do not modify."""
    return train(manifest, out=tmp_path_factory.mktemp("runs") / "whole", config=CONFIG, progress=False).path


@pytest.fixture(scope="module")  # with session scope its event loop would run during other tests
def browser() -> Iterator[Any]:
    """Debian's chromium, headless."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    with playwright.sync_playwright() as running:
        # the sandbox does not work for root in a container, and the page is our own
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put each test's cache in its own folder."""
    monkeypatch.setenv("SEQFF_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Use one thread, on which small nets run faster and deterministically."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """Seed the global generators, so that no test fails by a rare random draw."""
    torch.manual_seed(0)
