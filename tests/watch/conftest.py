"""Fixtures for the tests of `seqff watch`."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.small_runs import CONFIG

from seqff.train import train


@pytest.fixture(scope="session")
def finished_run(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that has ended; not to be changed."""
    return train(clips, out=tmp_path_factory.mktemp("watched") / "run", config=CONFIG, progress=False).path
