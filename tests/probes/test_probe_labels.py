"""Labels and groups: valid ones are read, others are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqff.errors import LabelError
from seqff.probes import read_groups, read_labels
from seqff.probes.labels import check_classes

VIDEOS = ["run/denis_run.avi", "run/eli_run.avi", "walk/denis_walk.avi", "walk/eli_walk.avi"]
HASHES = ["1", "2", "3", "4"]


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def groups_of(source: object, hashes: list[str] = HASHES, videos: list[str] = VIDEOS) -> list[str]:
    return read_groups(videos, source, content_hashes=hashes)  # type: ignore[arg-type]


def test_labels_from_folders() -> None:
    """The first folder below the folder of videos is the label, however deep the video lies."""
    assert read_labels([*VIDEOS, "walk/day1/a.avi"], "folder") == ["run", "run", "walk", "walk", "walk"]


def test_labels_from_a_table(tmp_path: Path) -> None:
    """A table may be in any order, have more columns, a byte order mark, backslashes, and videos that were skipped."""
    path = tmp_path / "labels.csv"
    lines = ["label,video,who", "w,walk\\eli_walk.avi,x", "r,./run/eli_run.avi,x", "r,run/denis_run.avi,x"]
    path.write_bytes(b"\xef\xbb\xbf" + "\n".join([*lines, "w,walk/denis_walk.avi,x", "w,walk/bad.avi,x"]).encode())
    assert read_labels(VIDEOS, path, without_features=["walk/bad.avi"]) == ["r", "r", "w", "w"]
    assert read_labels(VIDEOS, dict(zip(VIDEOS, "rrww", strict=True))) == ["r", "r", "w", "w"]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["video,label", *(f"{v},x" for v in VIDEOS), "denis_walk.avi,x"], "did you mean 'walk/denis_walk.avi'"),
        (["video,label", *(f"{v},x" for v in VIDEOS), "walk/elly_walk.avi,x"], "did you mean 'walk/eli_walk.avi'"),
        (["video,label", *(f"{v},x" for v in VIDEOS[1:])], r"no label for 1 video \(run/denis_run.avi\)"),
        (["video,class", "run/eli_run.avi,x"], r"columns 'video', 'class'; it needs 'label'"),
        (["video,label", "run/eli_run.avi,"], "row 2: label is empty"),
        (
            ["video,label", "run/eli_run.avi,a", "run/eli_run.avi,b"],
            "row 3: run/eli_run.avi has the labels 'a' and",
        ),
        ([""], "columns none"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, lines: list[str], text: str) -> None:
    """Unknown, missing, empty and contradicting entries each name the video and the row."""
    with pytest.raises(LabelError, match=text):
        read_labels(VIDEOS, table(tmp_path / "labels.csv", *lines))


def test_label_sources_that_are_none(tmp_path: Path) -> None:
    """No file, no text file, and videos outside folders are told apart."""
    with pytest.raises(LabelError, match=r"nowhere.csv: no such file of labels"):
        read_labels(VIDEOS, "nowhere.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(LabelError, match="not a CSV file in UTF-8"):
        read_labels(VIDEOS, tmp_path / "binary.csv")
    with pytest.raises(LabelError, match=r"1 video \(loose.avi\) in no folder"):
        read_labels([*VIDEOS, "loose.avi"], "folder")


def test_groups_by_expression() -> None:
    """The expression is searched in the file name; with a slash in it, in the whole path."""
    assert groups_of("(?P<group>[a-z]+)_") == ["denis", "eli", "denis", "eli"]
    assert groups_of("^(denis|eli)") == ["denis", "eli", "denis", "eli"]
    assert groups_of("/([a-z])[a-z]+_") == ["d", "e", "d", "e"]


def test_groups_from_elsewhere(tmp_path: Path) -> None:
    """No source makes each video a group, folders are the innermost ones, tables name `group`."""
    assert groups_of(None) == VIDEOS
    nested = ["walk/anna/1.avi", "walk/ben/2.avi", "run/anna/3.avi", "run/ben/cam1/4.avi"]
    assert groups_of("folder", videos=nested) == ["anna", "ben", "anna", "cam1"]
    assert groups_of("folder") == ["run", "run", "walk", "walk"]
    path = table(tmp_path / "g.csv", "video,group", *(f"{video},{i % 2}" for i, video in enumerate(VIDEOS)))
    assert groups_of(str(path)) == groups_of(path) == ["0", "1", "0", "1"]


def test_copies_share_a_group() -> None:
    """Without groups, copies of one file are one group; groups that part them are refused."""
    copies = ["1", "2", "1", "4"]
    assert groups_of(None, copies) == [VIDEOS[0], VIDEOS[1], VIDEOS[0], VIDEOS[3]]
    assert groups_of("^([a-z]+)_", copies) == ["denis", "eli", "denis", "eli"]
    with pytest.raises(LabelError, match=r"run/denis_run.avi and walk/denis_walk.avi are the same video but in"):
        groups_of("_([a-z]+)", copies)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("(?P<group>[0-9]+)_", r"no match in 4 videos \(run/denis_run.avi, .*, \.\.\.\)"),
        ("[a-z]+_", "marks no group"),
        ("(unclosed", "nor a regular expression"),
        ("nowhere.csv", "no such file of groups"),
        ("frame", "frames of one video are nearly identical"),
    ],
)
def test_groups_that_do_not_work(source: str, text: str) -> None:
    """Each way a group source can be wrong has its own message."""
    with pytest.raises(LabelError, match=text):
        groups_of(source)


@pytest.mark.parametrize(
    ("labels", "groups", "text"),
    [
        ("aaaa", "1234", "all videos have the label 'a'"),
        ("aabb", "1111", "all videos are in one group"),
        ("aaab", "1234", r"1 class \(b\) with one video only"),
        ("aabb", "aabb", r"labels and groups are the same, .* LABEL/GROUP/name.mp4"),
        ("aabb", "1122", "groups must cut across classes"),
        ("aabbcc", "121233", r"1 class \(c\) in one group only"),
    ],
)
def test_sets_that_cannot_be_probed(labels: str, groups: str, text: str) -> None:
    """A class or group that cannot be on both sides is named before anything is fitted."""
    with pytest.raises(LabelError, match=text):
        check_classes(list(labels), list(groups))
