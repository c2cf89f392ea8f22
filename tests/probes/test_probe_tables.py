"""Real-world tables: read correctly, or refused with the row; unusual labels are reported."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from seqff.errors import LabelError
from seqff.features import FeatureIndex
from seqff.files import read_csv, write_csv
from seqff.probes import read_labels
from seqff.probes.segments import has_segments, label_rows
from seqff.probes.splits import read_splits

VIDEOS = ["a.mp4", "b.mp4", "c.mp4"]


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "video,label\na.mp4,walk\nb.mp4,\"run, fast\"\nc.mp4,walk\n",
        "video;label\na.mp4;walk\nb.mp4;run, fast\nc.mp4;walk\n",
        "sep=;\r\nvideo;label\r\na.mp4;walk\r\nb.mp4;run, fast\r\nc.mp4;walk\r\n",
        "video\tlabel\na.mp4\twalk\nb.mp4\trun, fast\nc.mp4\twalk\n",
        "video | label\na.mp4 | walk\nb.mp4 | run, fast\nc.mp4 | walk\n",
        ' video , label \n a.mp4 , walk\nb.mp4, "run, fast"\n  c.mp4,walk  \n',
        "\n\nvideo,label,,\na.mp4,walk,,\n\nb.mp4,\"run, fast\",,\n,,,\nc.mp4,walk\n",
        "video,label\ra.mp4,walk\rb.mp4,\"run, fast\"\rc.mp4,walk",
        "video,label\na.mp4,walk\nb.mp4,\"run, fast\"\nc.mp4,walk\n".encode("utf-16"),
    ],
    ids=["quoted", "semicolons", "sep", "tabs", "bars", "spaces", "empty", "returns", "utf-16"],
)  # fmt: skip
def test_what_spreadsheets_write_is_read(tmp_path: Path, content: str | bytes) -> None:
    """Commas, semicolons, tabs; spaces around values; empty rows and columns; UTF-16: the labels are the same."""
    assert read_labels(VIDEOS, table(tmp_path, content)) == ["walk", "run, fast", "walk"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            "video,label\na.mp4,walk\nb.mp4,walk\nc.mp4,run, fast\n",
            "row 4 has 3 fields, the header 2: is a comma",
        ),
        ("video,label\n\n\na.mp4,walk,x\n", "row 4 has 3 fields"),
        ('video,label,note\na.mp4,walk,"two\nlines"\nb.mp4,,x\n', "row 4: label is empty"),
        ("video,label,label\na.mp4,walk,x\n", "row 1: the header has 'label' more than once"),
        ("video,who,who,label\na.mp4,x,y,walk\n", "row 1: the header has 'who' more than once"),
        ('video,label\na.mp4,"walk\nb.mp4,run\n', r"row 2: .*is a quote or a comma not where it belongs"),
        (
            "video;class\na.mp4;walk\n",
            "needs 'label'; columns were read as separated by semicolons: if they are",
        ),
        ("PK\3\4\0\0 a spreadsheet", "a binary one; save the table as CSV"),
        ("a.mp4,walk\nb.mp4,walk\n", "columns 'a.mp4', 'walk'; it needs 'video'"),
    ],
)
def test_what_cannot_be_meant_names_the_row(tmp_path: Path, content: str, text: str) -> None:
    """Too many fields, repeated names, lost quotes: an error that names the row, never another class in silence."""
    with pytest.raises(LabelError, match=text):
        read_labels(VIDEOS, table(tmp_path, content))


def test_letters_that_are_not_utf8(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A table in Windows-1252 is read, and said; its names find files whose names are such bytes, too."""
    path = table(tmp_path, "video;label\ncafé.mp4;marché\nb.mp4;größer\n".encode("cp1252"))
    assert read_labels(["café.mp4", "b.mp4"], path) == ["marché", "größer"]
    assert "not UTF-8 (row 2); read as Windows-1252" in caplog.text
    assert read_labels([os.fsdecode(b"caf\xe9.mp4"), "b.mp4"], path) == ["marché", "größer"]


def test_accents_of_other_systems(tmp_path: Path) -> None:
    """Names in NFD find files in NFC and the other way round, unless both are there."""
    composed, apart = (unicodedata.normalize(form, "é.mp4") for form in ("NFC", "NFD"))
    path = table(tmp_path, f"video,label\n{apart},walk\nb.mp4,run\n")
    assert read_labels([composed, "b.mp4"], path) == ["walk", "run"]
    assert read_labels([apart, "b.mp4"], path) == ["walk", "run"]
    with pytest.raises(LabelError, match="no label for 1 video"):
        read_labels([composed, apart, "b.mp4"], path)


def test_splits_and_segments_take_the_same_tables(tmp_path: Path) -> None:
    """Semicolons and rows of their number hold for official splits and segments as well."""
    path = table(tmp_path, "video;split1;split2\na.mp4;train;test\nb.mp4;test;train\nc.mp4;train;train\n")
    assert [fold.train.tolist() for fold in read_splits(VIDEOS, path)] == [[0, 2], [1, 2]]
    with pytest.raises(LabelError, match="row 4: split is 'Train'"):
        read_splits(VIDEOS, table(tmp_path, "video,split\n\na.mp4,train\nb.mp4,Train\n"))
    assert has_segments(table(tmp_path, "video;start_seconds;stop_seconds;label\na.mp4;0;1;x\n"))
    assert not has_segments(table(tmp_path, "video;label\na.mp4;x\n"))


def test_segments_that_catch_no_row_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Segments between two rows, or beyond the end, are said with their number; those that catch a row are not."""
    path = table(
        tmp_path,
        "video,start_seconds,stop_seconds,label\n"
        "a.mp4,0,1,walk\na.mp4,1.2,1.8,run\na.mp4,2,9,walk\nb.mp4,0,1,walk\nb.mp4,50,60,run\n",
    )
    times = np.array([0.0, 1.0, 2.0, 3.0])
    index = FeatureIndex(("a.mp4",) * 4 + ("b.mp4",) * 4, np.tile(np.arange(4), 2), np.ones(8, int), np.tile(times, 2))
    labels = label_rows(index, ["a.mp4", "b.mp4"], path, column="label", without_features=())
    assert labels == ["walk", None, "walk", "walk", "walk", None, None, None]
    assert "of 5 segments no row lies in 2 segments (a.mp4 1.2 to 1.8 s, b.mp4 50 to 60 s)" in caplog.text


@pytest.mark.parametrize(
    ("folders", "warned"),
    [(("train", "test"), True), (("Train", "val", "TEST"), True), (("train", "bus"), False), (("walk", "run"), False)],
)
def test_folders_that_are_splits(folders: tuple[str, ...], warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Classes named train, val and test are what was asked for, and most likely not what was meant: a warning."""
    caplog.set_level(logging.WARNING)
    assert read_labels([f"{folder}/walk/1.mp4" for folder in folders], "folder") == [*folders]
    assert ("look like splits" in caplog.text) == warned


def test_tables_of_features_hold_any_name(tmp_path: Path) -> None:
    """Names with line breaks, quotes and bytes that are not UTF-8 come back as they were."""
    names = ["a\nb.mp4", 'say "x",y.mp4', os.fsdecode(b"caf\xe9.mp4"), "é.mp4"]
    write_csv(tmp_path / "index.csv", ("video", "frame"), [(name, 1) for name in names])
    assert [row["video"] for row in read_csv(tmp_path / "index.csv")] == names
