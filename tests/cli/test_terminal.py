"""Names are untrusted: control characters are shown as escapes in all output."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.clips import write_clips
from helpers.small_runs import CONFIG

from seqff.cli import main
from seqff.config_io import dump_yaml, to_dict
from seqff.errors import SeqffError, VideoError
from seqff.terminal import Lines, as_lines, log_line, printable

NAMES = {
    "escape": "a\x1b]0;owned\x07\x1b[31mred.mp4",
    "return": "good.mp4\rall 9 videos are fine.mp4",
    "newline": "a.mp4\nseqff: error: the disk is on fire.mp4",
    "right to left": "a\u202e4pm.gpj\u2066b\u200f.mp4",
    "C1": "a\x9b31mred\x84.mp4",
    "not UTF-8": os.fsdecode(b"a\xff\xfe.mp4"),
    "separators": "a\u2028b\u2029c\u061cd\ufeffe.mp4",
}
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_one_line(name: str) -> None:
    """Nothing that is obeyed is left of it, wherever it stands: in an error, a warning, a table; and it can be told."""
    record = logging.LogRecord(
        "seqff", 30, "", 0, "%s has %d frames:\n%s", (Path(name), 3, as_lines(["one", name])), None
    )
    shown = [printable(name), str(VideoError(name, "pyav", name)), str(SeqffError(f"{name} is odd"))]
    for text in shown:
        assert not OBEYED.search(text)
        assert "\n" not in text
    assert not OBEYED.search(log_line(record))
    assert len(log_line(record).split("\n")) == 3
    assert printable(shown[0]) == shown[0]
    assert printable("Ünïcode, 日本語, 👩‍🔬 and a\\backslash") == "Ünïcode, 日本語, 👩‍🔬 and a\\backslash"


def test_lines_of_our_own_stay_lines() -> None:
    """An error that was laid out in lines keeps them, and its names do not."""
    error = SeqffError(as_lines(["two videos:", "  a\nb", "  c\x1b"]))
    assert str(error) == "two videos:\n  a\\nb\n  c\\x1b"
    assert isinstance(error.args[0], Lines)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with such names in a folder with such a name, one of them twice and one broken."""
    folder = tmp_path_factory.mktemp("odd")
    videos = folder / "v\x1b[2J\u202e\nx"
    found = sorted(write_clips(folder / "plain").rglob("*.mp4"))
    videos.mkdir()
    for number, (path, name) in enumerate(zip(found, [*NAMES.values(), "last\x1b.mp4"], strict=True)):
        (videos / f"k{number % 2}\r").mkdir(exist_ok=True)
        path.rename(videos / f"k{number % 2}\r" / name)
    shutil.copy(next(videos.glob("k0*/a*")), videos / "k1\r" / "copy\x1b[5m.mp4")
    (videos / "broken\nall is well\x1b.mp4").write_bytes(b"no video at all")
    (folder / "small.yaml").write_text(dump_yaml({**to_dict(CONFIG), "steps": 2}))
    return folder


def way(odd: Path) -> list[list[str]]:
    """Commands from scan to report, and some that fail."""
    (videos,) = odd.glob("v*")
    names = {name: str(odd / f"{name}\x1b[7m\r\u202e") for name in ("run", "features", "probe", "page")}
    bad = ["--max-bad", "0.5", "--no-progress"]
    every = [
        ["scan", str(videos), "--out", str(odd / "m\x1b\n.json"), *bad],
        ["scan", str(videos), "--max-bad", "0", "--no-progress"],
        ["scan", str(odd / "no\x1b\rsuch\n")],
        ["scan", str(odd)],
        ["train", str(videos), "--out", names["run"], "--config", str(odd / "small.yaml"), *bad],
        ["train", str(videos), "--out", names["run"], "--config", str(odd / "small.yaml"), *bad],
        ["watch", names["run"], "--once"],
        ["extract", names["run"], str(videos), "--out", names["features"], *bad],
        ["probe", names["features"], "--labels", "folder", "--folds", "2", "--out", names["probe"], "--no-progress"],
        ["probe", names["features"], "--labels", str(odd / "labels\x1b.csv"), "--out", names["probe"], "--overwrite"],
        ["compare", names["probe"], names["probe"] + "/results.json"],
        ["similarity", names["features"]],
        ["report", names["run"], names["probe"], "--out", names["page"] + ".html", "--no-progress"],
        ["export", names["features"], "--out", names["page"] + ".npz"],
        ["config", "check", names["run"]],
        ["config", "show", str(odd / "none\x1b")],
        ["nonsense\x1b[31m\r"],
    ]
    return every


def test_nothing_obeyed_from_scan_to_report(odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is named in tables, warnings and errors, a terminal obeys nothing of it and no line is forged."""
    with (odd / "labels\x1b.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("video", "label"), ("x\x1b[31m", "y\r")])
    codes = []
    for command in way(odd):
        codes.append(main(command))
        said = capsys.readouterr()
        text = said.out + said.err
        assert not OBEYED.search(text), command
        assert not re.search("^(seqff: error: the disk|all is well|all 9 videos|x)", text, re.MULTILINE), command
    assert codes == [0, 1, 1, 1, 0, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 2]


def test_json_is_still_json(odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names in it are the true ones, and a terminal obeys nothing there either."""
    (videos,) = odd.glob("v*")
    main(["scan", str(videos), "--out", str(tmp_path / "m.json"), "--max-bad", "0.5", "--json", "--no-progress"])
    out = capsys.readouterr().out
    assert not OBEYED.search(out)
    assert {Path(entry["path"]).name for entry in json.loads(out)["entries"]} >= {*NAMES.values()}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "ascii:strict", "latin-1"])
def test_a_terminal_of_few_letters_ends_no_command(odd: Path, tmp_path: Path, encoding: str) -> None:
    """Letters that it has not are shown as escapes, in help, tables, warnings and errors."""
    videos = tmp_path / "vidéos ± 日本"
    videos.mkdir()
    shutil.copy(next(odd.rglob("last*.mp4")), videos / "日本語 – é.mp4")
    (videos / "kaputt – 日.mp4").write_bytes(b"nothing")
    scan = ["scan", str(videos), "--out", str(tmp_path / "m.json"), "--workers", "1"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    for arguments in (
        ["scan", "--help"],
        [*scan, "--max-bad", "0.5"],
        [*scan, "--max-bad", "0.5", "--json"],
        ["scan", str(videos / "nö 日")],
    ):
        command = [sys.executable, "-m", "seqff", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == (1 if arguments[-1].endswith("日") else 0), done.stderr
        assert b"Traceback" not in done.stderr
        assert b"UnicodeEncodeError" not in done.stderr
