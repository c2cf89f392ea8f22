"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import CONFIG

import seqff
from seqff.training import train


@pytest.fixture(scope="session")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips, scanned once for all tests of training."""
    path = tmp_path_factory.mktemp("scan") / "manifest.json"
    seqff.scan(clips, out=path, progress=False)
    return path


@pytest.fixture(scope="session")
def uninterrupted(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of small_runs.CONFIG that nothing interrupted; not to be changed."""
    return train(manifest, out=tmp_path_factory.mktemp("runs") / "whole", config=CONFIG, progress=False).path
