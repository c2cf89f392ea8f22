"""A job locks its folder: a second job is told who holds it, and neither loses data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seqff.claim import Claim
from seqff.errors import RunError, WriteError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
HOLD = (
    "import sys, time; from pathlib import Path; from seqff.claim import Claim; "
    "claim = Claim(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def held_by_another(folder: Path) -> subprocess.Popen[str]:
    """A process that holds a folder until its input ends."""
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=-1, stdout=-1, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def test_the_second_is_told_who_is_there(tmp_path: Path) -> None:
    """The error names the process, and once that is killed, in whatever way, the folder is free."""
    with held_by_another(tmp_path / "out") as other:
        with pytest.raises(RunError, match=rf"out is in use by process {other.pid} on .+ since 2.+: wait, stop that"):
            Claim(tmp_path / "out")
        other.kill()
    with Claim(tmp_path / "out") as mine:
        assert mine.folder == tmp_path / "out"


def test_who_is_asked_to_waits(tmp_path: Path) -> None:
    """It says once for whom, and has the folder when that has ended."""
    said: list[str] = []
    with held_by_another(tmp_path / "out") as other:

        def end(holder: str) -> None:
            said.append(holder)
            other.communicate("")

        Claim(tmp_path / "out", wait=end).close()
    assert len(said) == 1
    assert said[0].startswith(f"process {other.pid} on ")


def test_a_folder_made_for_nothing_is_gone(tmp_path: Path) -> None:
    """Folders made for the claim go with it if they stayed empty; what was written stays, the lock does not."""
    with Claim(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with Claim(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b", "result"]


def test_a_claim_that_is_shared(tmp_path: Path) -> None:
    """Ranks of one job share it; a process by itself waits for all of them, and they for it."""
    with Claim(tmp_path, shared=True), Claim(tmp_path, shared=True) as second:
        second.close()
        with pytest.raises(RunError, match=f"in use by process {os.getpid()} "):
            Claim(tmp_path)
    with Claim(tmp_path), pytest.raises(RunError, match="in use by"):
        Claim(tmp_path, shared=True)
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_no_folder_can_be(tmp_path: Path) -> None:
    """A file is left as it is; below a file there is no folder, which is said with what to do."""
    (tmp_path / "file").write_text("mine")
    Claim(tmp_path / "file").close()
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(WriteError, match=r"file/out cannot be written: Not a directory: choose another folder"):
        Claim(tmp_path / "file" / "out")
