"""Extraction in tests: on the CPU, in small batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqff.features import FeatureStore, extract
from seqff.video import scan

SMALL = {"device": "cpu", "batch_frames": 8, "progress": False}
NAMES = ("layer1", "layer2", "untrained/layer1", "untrained/layer2", "pixels")


def take(run: Path, clips: Path, out: Path, **options: Any) -> FeatureStore:
    """Extract on the CPU in small batches."""
    return extract(run, clips, out=out, **{**SMALL, **options})


def content(store: Path) -> dict[str, bytes]:
    """Return the content of every file of a folder."""
    return {str(path.relative_to(store)): path.read_bytes() for path in sorted(store.rglob("*")) if path.is_file()}


def scan_of(folder: Path, tmp_path: Path, **options: Any) -> Path:
    """Return a manifest of a folder."""
    scan(folder, out=tmp_path / "manifest.json", workers=1, progress=False, **options)
    return tmp_path / "manifest.json"
