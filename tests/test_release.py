"""What a release says of itself is the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from seqff.version import __version__

ROOT = Path(__file__).resolve().parents[1]


def test_citation_and_changelog_are_of_this_version() -> None:
    """CITATION.cff names the version of the package, and the newest part of the changelog is its own."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__
    newest = re.search(
        r"^## \[(.+?)\] - (unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M
    )
    assert newest is not None
    assert newest[1] == __version__
