"""Decoding processes end with their parent, whatever they are doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
LONGEST_SECONDS = 60.0  # nothing but a limit: they end at once
DEEDS = """
import ctypes, os, signal, time

def sleeps(pipe):
    pipe.send(os.getpid())
    time.sleep(600)

def never_lets_go(pipe):
    pipe.send(os.getpid())
    ctypes.PyDLL(None).sleep(600)  # as a decoder that hangs and holds Python's lock

def ignores_signals(pipe):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    pipe.send(os.getpid())
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
"""
STARTS = """
import sys, threading, time
sys.path.insert(0, sys.argv[1])
import deeds
from seqff.orphans import Children

def start():
    mine, theirs = Children().Pipe()
    Children().Process(target=getattr(deeds, sys.argv[2]), args=(theirs,)).start()
    print(mine.recv(), flush=True)
    time.sleep(600)

if __name__ == "__main__":
    thread = threading.Thread(target=start)
    (thread.start if sys.argv[3] == "thread" else start)()
    time.sleep(600)
"""
DECODES = """
import sys, threading
from seqff.video.workers import Worker
worker = Worker(600.0)
print(worker.start().pid, flush=True)
sys.stdin.read()
"""
LOADS = """
import sys, torch
from seqff.config import PairsConfig
from seqff.pairs import PairStream
from seqff.transform import FrameTransform
from seqff.video import Manifest
if __name__ == "__main__":
    config = PairsConfig(size_px=16, far=6, videos_per_batch=3, clips_per_video=2, clip_frames=3, batches_per_visit=2)
    stream = PairStream(Manifest.load(sys.argv[1]), FrameTransform(16, 16), config, seed=0, workers=2)
    batches = stream.batches()
    next(batches)
    import multiprocessing
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    sys.stdin.read()
"""


def lives(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def killed(tmp_path: Path, script: str, *arguments: str, held: set[Path] | None = None) -> list[int]:
    """Kill a process that has told which it started; return those that live on. `held` gets their shared memory."""
    file = tmp_path / "script.py"
    file.write_text(script)
    command = [sys.executable, str(file), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert children
        assert all(map(lives, children))
        if held is not None:
            held |= set().union(*map(shared_memory, [parent.pid, *children]))
        parent.kill()
    until = time.monotonic() + LONGEST_SECONDS
    while any(map(lives, children)) and time.monotonic() < until:
        time.sleep(0.02)
    return [pid for pid in children if lives(pid)]


def shared_memory(pid: int) -> set[Path]:
    """Files in shared memory that a process holds, where this system shows them (other tests may run beside these)."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return set()
    return {Path(line.split(maxsplit=5)[-1]) for line in maps.splitlines() if "/dev/shm/" in line}


@pytest.mark.parametrize(
    ("deed", "where"),
    [("sleeps", "main"), ("never_lets_go", "main"), ("ignores_signals", "main"), ("sleeps", "thread")],
)
def test_a_child_ends_with_its_parent(tmp_path: Path, deed: str, where: str) -> None:
    """Asleep, in a call that never lets go of Python, deaf to signals, or started by a thread."""
    (tmp_path / "deeds.py").write_text(DEEDS)
    assert killed(tmp_path, STARTS, str(tmp_path), deed, where) == []


def test_decoding_processes_of_a_scan_end_with_it(tmp_path: Path) -> None:
    """Also one that waits for a file, or hangs in it."""
    assert killed(tmp_path, DECODES) == []


def test_decoding_processes_of_a_training_end_with_it(clips: Path, tmp_path: Path) -> None:
    """Those of `workers=2`, which hold some hundred MB each; nothing of theirs stays in shared memory."""
    from seqff.video import scan

    held = set[Path]()
    scan(clips, out=tmp_path / "m.json", workers=1, progress=False)
    assert killed(tmp_path, LOADS, str(tmp_path / "m.json"), held=held) == []
    assert held or not Path("/dev/shm").exists()
    until = time.monotonic() + LONGEST_SECONDS
    while any(file.exists() for file in held) and time.monotonic() < until:
        time.sleep(0.02)  # Python's own watcher clears away there
    assert not [file for file in held if file.exists()]
