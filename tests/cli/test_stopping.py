"""A command stopped by a signal prints one line: the signal, and how to continue."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


def stopped_at_work(command: list[str], sign: Path, number: int) -> tuple[int, str]:
    """Send a command a signal once something that it writes is there; return its code and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "seqff", *command],
        stdout=-1,
        stderr=-1,
        text=True,
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in (signal.SIGINT, signal.SIGHUP)],
        # a command in the background ignores the first, one under nohup the second
    )
    while not list(sign.parent.glob(sign.name)) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    return process.wait(300), process.communicate()[1]


@pytest.mark.parametrize(
    ("number", "how"), [("SIGTERM", "stopped by SIGTERM"), ("SIGHUP", "stopped by SIGHUP"), ("SIGINT", "interrupted")]
)
def test_a_scan_says_that_it_was_stopped(clips: Path, tmp_path: Path, number: str, how: str) -> None:
    """With code 130 and one line; the same command goes on and ends with the same manifest as another."""
    many = tmp_path / "many"  # so many that it is at work when the signal comes
    many.mkdir()
    clip = next(path for path in sorted(clips.rglob("*")) if path.is_file())
    for copy in range(40):
        (many / f"{copy}{clip.suffix}").symlink_to(clip)
    command = ["scan", str(many), "--out", str(tmp_path / "m.json"), "--workers", "1", "--no-progress"]
    code, said = stopped_at_work(command, tmp_path / "m.json.partial" / "lock", getattr(signal, number))
    assert code == 130
    assert said == f"seqff scan: {how}; results are kept: the same command continues\n"
    assert not (tmp_path / "m.json").exists()
    for name in ("m.json", "other.json"):
        command[3] = str(tmp_path / name)
        assert subprocess.run([sys.executable, "-m", "seqff", *command], stdout=-3, check=False).returncode == 0
    assert (tmp_path / "m.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.partial")) == []
