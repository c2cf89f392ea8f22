"""24 clips of shared data with 300 painted frames each: readers always return the requested frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.painted import count_wrong

from seqff.errors import VideoError
from seqff.video import Manifest, open_video, scan

FOLDER = Path(__file__).resolve().parents[2] / "../shared/data/identity_clips"
CLIPS = sorted(path.name for path in FOLDER.glob("*"))
FIRST = {"h264_editlist_cut.mp4": 28}

pytestmark = pytest.mark.skipif(not CLIPS, reason=f"the identity clips are not at {FOLDER}")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    out = tmp_path_factory.mktemp("identity") / "manifest.json"
    return scan(FOLDER, out=out, workers=1, progress=False)


def test_all_24_are_sound_and_complete(scanned: Manifest) -> None:
    """The scan calls every clip sound and proves the number of its frames."""
    assert len(scanned) == 24
    assert {entry.status for entry in scanned} == {"ok"}
    assert {entry.path: entry.frames for entry in scanned} == {name: 300 - FIRST.get(name, 0) for name in CLIPS}


@pytest.mark.parametrize("name", CLIPS)
def test_no_wrong_index(scanned: Manifest, name: str) -> None:
    """150 random pairs, the tail, unsorted batches with duplicates and iteration: 0 wrong with the reader chosen."""
    entry = next(entry for entry in scanned if entry.path == name)
    with open_video(scanned.path(entry), size=(48, 64), entry=entry) as reader:
        assert count_wrong(reader, entry, first=FIRST.get(name, 0)) == 0


@pytest.mark.parametrize("name", CLIPS)
def test_no_wrong_index_with_the_other_reader(scanned: Manifest, name: str) -> None:
    """The same with PyAV where decord was chosen, and with decord where it was not but is exact."""
    entry = next(entry for entry in scanned if entry.path == name)
    with open_video(scanned.path(entry), size=(48, 64), entry=entry) as chosen:
        other = "pyav" if type(chosen).__name__ == "DecordReader" else "decord"
    try:
        with open_video(scanned.path(entry), size=(48, 64), entry=entry, reader=other) as reader:
            assert count_wrong(reader, entry, first=FIRST.get(name, 0), pairs=30) == 0
    except VideoError as error:
        pytest.skip(f"only PyAV is exact on this clip: {error}")
