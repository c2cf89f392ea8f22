"""The metadata of a release is consistent."""

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


def test_the_lowest_versions_are_those_that_are_promised() -> None:
    """`make lowest` tries for every dependency the version from which on pyproject.toml takes it."""
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text("utf-8"), re.M | re.S)
    promised = dict(re.findall(r'"([\w-]+)>=([\d.]+)', block))
    tried = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "constraints-lowest.txt").read_text("utf-8"), re.M))
    assert len(promised) > 10
    assert {name: tried[name][: len(least)] for name, least in promised.items()} == promised
