"""Notes of a probe about too little data, nothing learned, and missing groups."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from seqff.features import FeatureStore
from seqff.probes import probe
from seqff.probes.cautions import forgotten_groups, nothing_learned, too_little


def test_too_little_data_is_said() -> None:
    """Fewer than 30 videos, and classes of fewer than 5, by name; nothing where there is enough."""
    few, small = too_little({"walk": 20, "run": 4}, 24)
    assert few.startswith("only 24 videos")
    assert small == "1 class (run) with fewer than 5 videos"
    assert too_little({"walk": 20, "run": 10}, 30) == []


NAMED = {
    "names": [f"{c}/{s}_{c}_{n}.avi" for c in ("walk", "run") for s in ("anna", "ben", "carl") for n in (1, 2)],
    "numbered subjects": [f"{c}/person{s:02d}_{c}.avi" for c in ("walk", "run") for s in range(8)],
    "third part": [f"{c}/v_{c}_g{g:02d}_c{n}.avi" for c in ("walk", "run") for g in range(5) for n in range(3)],
    "folders": [f"{c}/{s}/{n}.avi" for c in ("walk", "run") for s in ("mon", "tue", "wed") for n in range(2)],
}
UNNAMED = {
    "numbers begun anew in each class": [f"{c}/clip{n}.avi" for c in ("walk", "run") for n in range(10)],
    "numbers": [f"{c}/{n:04d}.avi" for c in ("walk", "run") for n in range(10)],
    "one video each": [f"{c}/{c}_{n}.avi" for c, n in zip(("walk", "run") * 10, range(20), strict=True)],
    "two sides": [f"{c}/{side}_{n}.avi" for c in ("walk", "run") for side in ("left", "right") for n in range(20)],
}


@pytest.mark.parametrize("videos", NAMED.values(), ids=NAMED)
def test_groups_in_names_are_found(videos: list[str]) -> None:
    """What is advised as --groups puts the videos of a subject together, across classes."""
    labels = [video.split("/")[0] for video in videos]
    (note,) = forgotten_groups(videos, labels)
    advised = note.partition("--groups ")[2].partition(" keeps")[0].strip("'")
    if advised == "folder":
        return
    groups = {re.search(advised, video.rpartition("/")[2])["group"] for video in videos}  # type: ignore[index]
    assert 3 <= len(groups) <= 8
    assert groups.isdisjoint(labels)


@pytest.mark.parametrize("videos", UNNAMED.values(), ids=UNNAMED)
def test_running_numbers_are_no_groups(videos: list[str]) -> None:
    """Numbers that every class begins anew, or that are each one video's, are no reason to warn."""
    assert forgotten_groups(videos, [video.split("/")[0] for video in videos]) == []


def test_the_notes_stand_in_the_result_and_its_table(make_store: Callable[..., FeatureStore]) -> None:
    """With 18 videos of subjects and no groups; with groups the last note goes, frames within videos have none."""
    result = probe(make_store(), labels="folder", folds=2, out=None, progress=False)
    notes = " ".join(result.metadata["warnings"])
    assert "only 18 videos" in notes
    assert "--groups '^(?P<group>" in notes
    assert "note: only 18 videos" in result.table()
    grouped = probe(make_store(), labels="folder", groups="(subject.)", folds=2, out=None, progress=False)
    assert "no groups were given" not in " ".join(grouped.metadata["warnings"])
    inside = probe(make_store(frames=6), labels="video", split_frames="every:3", out=None, progress=False)
    assert "only" not in " ".join(inside.metadata["warnings"])


def test_nothing_learned_is_said(make_store: Callable[..., FeatureStore]) -> None:
    """Layers at the majority's rate, and a net that was not trained; not where one layer knows more."""
    blank = probe(make_store(signal=0.0), labels="folder", folds=2, out=None, progress=False)
    notes = " ".join(blank.metadata["warnings"])
    assert "no layer is above the majority's 0.333" in notes
    assert "every difference to the untrained net is 0" in notes
    good = probe(make_store(), labels="folder", folds=2, out=None, progress=False)
    assert "no layer is above" not in " ".join(good.metadata["warnings"])
    assert nothing_learned({}, {}, 0.5) == []
