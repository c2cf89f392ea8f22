"""Short waits for tests of streams: before reconnecting, and before reading files of growing folders."""

from __future__ import annotations

import pytest

from seqff.online import reader, sources


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(sources, "SETTLE_SECONDS", 0.1)
