"""The decoding processes of a scan: killed when they hang, replaced when they crash."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import av

from seqff.errors import SeqffError
from seqff.orphans import end_with
from seqff.video.decord_reader import decord_available, quiet_decord
from seqff.video.entry import VideoEntry
from seqff.video.examine import examine, examine_there

_HEARTBEAT, _HEARTBEAT_SECONDS = ".", 0.5
_SERVE = "from seqff.video.workers import serve; serve()"
_DIED = "the decoder crashed"
_SUSPECTS = 8  # number of earlier files that may have caused a crash

_log = logging.getLogger("seqff.video")


def serve() -> None:
    """Main function of a worker process: reads one JSON path per line until end of input, answers with JSON entries.

    In between it sends heartbeats. The first argument is the process id of the parent, with which it exits.
    """
    end_with(int(sys.argv[1]))
    answers, last = sys.stdout, time.monotonic()

    def answer(text: str) -> None:
        answers.write(text + "\n")
        answers.flush()

    def heartbeat() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _HEARTBEAT_SECONDS:
            last = now
            answer(_HEARTBEAT)

    answer(_HEARTBEAT)
    av.logging.set_level(av.logging.PANIC)  # print nothing, but keep FFmpeg's messages in exceptions
    decord: Any = None
    with suppress(Exception):  # installed, but not working on this machine
        decord = quiet_decord() if decord_available() else None
    for line in sys.stdin:
        answer(json.dumps(examine(Path(json.loads(line)), decord=decord, heartbeat=heartbeat).to_dict()))


class Worker:
    """A process that examines one video after another; used by one thread.

    It is a plain subprocess, because multiprocessing would import the caller's script again, which fails for scripts
    without a main guard.

    If the process crashes, an earlier file may have corrupted its memory. So the current file is examined again in its
    own process; if it is sound, so are the earlier ones, until one of them crashes its process.

    Args:
        timeout_seconds: longest time without a heartbeat.

    Attributes:
        process: the worker process, once started.
        taken_back: corrected entries of earlier files that turned out to crash their process.
    """

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self.process: subprocess.Popen[str] | None = None
        self._stopped = threading.Event()
        self._read: list[Path] = []
        self.taken_back: list[VideoEntry] = []

    def examine(self, path: Path) -> VideoEntry:
        """Examine a video, downloading it first if it is remote; hangs and crashes become the entry's status."""
        return examine_there(path, how=self._examine, heartbeat=self._check_stopped)

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise SeqffError("the scan was stopped")

    def _examine(self, path: Path) -> VideoEntry:
        entry = self._ask(path)
        if not entry.cause.startswith(_DIED) or self._stopped.is_set():
            self._read.append(path)
            return entry
        suspects, self._read = self._read[-_SUSPECTS:], []
        if not suspects:
            return entry
        again = self._ask_alone(path)
        if not again.cause.startswith(_DIED):
            for suspect in reversed(suspects):
                found = self._ask_alone(suspect)
                if found.cause.startswith(_DIED):
                    self.taken_back.append(found)
                    break
            else:
                _log.warning("%s at %s, which is sound when read alone, as are the files before it", entry.cause, path)
        return again

    def _ask_alone(self, path: Path) -> VideoEntry:
        self.close()
        try:
            return self._ask(path)
        finally:
            self.close()

    def _ask(self, path: Path) -> VideoEntry:
        process = self.start()
        killed = threading.Event()
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(str(path)) + "\n")
            process.stdin.flush()
            while (line := self._next_line(process, killed).strip()) == _HEARTBEAT:
                pass
        except OSError:
            line = ""
        if line:
            return VideoEntry.from_dict(json.loads(line))
        self.close()
        if killed.is_set():
            cause = f"the decoder gave no sign of life for {self.timeout_seconds:g} s and was stopped"
            return VideoEntry(path=path.as_posix(), status="timeout", cause=cause)
        return VideoEntry(path=path.as_posix(), cause=f"{_DIED} (exit code {process.returncode})")

    def _next_line(self, process: subprocess.Popen[str], killed: threading.Event) -> str:
        def kill() -> None:
            killed.set()
            process.kill()

        timer = threading.Timer(self.timeout_seconds, kill)
        timer.daemon = True
        timer.start()
        assert process.stdout is not None
        try:
            return process.stdout.readline()
        finally:
            timer.cancel()

    def start(self) -> subprocess.Popen[str]:
        """Return the process; starts it if none is running."""
        if self.process is None or self.process.poll() is not None:
            self._read = []
            paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH")]
            self.process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders print there
                start_new_session=True,  # so that only the parent handles keyboard interrupts
                text=True,
                encoding="ascii",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
        return self.process

    def kill(self) -> None:
        """Kill the process; a thread waiting for its answer sees a crash, and one that downloads stops."""
        self._stopped.set()
        if self.process is not None:
            self.process.kill()

    def close(self) -> None:
        """Kill the process and release it; called by the thread that uses the worker."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


def examine_all(
    videos: Iterable[tuple[str, Path]], *, workers: int, timeout_seconds: float
) -> Generator[tuple[str, VideoEntry], None, None]:
    """Examine videos, given as name and path, in `workers` processes; videos are drawn when a worker is free.

    Yields:
        Name and entry, in order of completion; again for a file that later turns out to crash its process.
    """
    everyone = [Worker(timeout_seconds) for _ in range(workers)]
    try:
        with ThreadPoolExecutor(workers) as threads:
            try:
                yield from _hand_out(videos, everyone, threads)
            finally:  # also if the caller stops early
                for worker in everyone:
                    worker.kill()
    finally:
        for worker in everyone:
            worker.close()


def _hand_out(
    videos: Iterable[tuple[str, Path]], workers: Sequence[Worker], threads: ThreadPoolExecutor
) -> Iterator[tuple[str, VideoEntry]]:
    idle, todo = list(workers), iter(videos)
    running: dict[Future[VideoEntry], tuple[str, Worker]] = {}
    names: dict[str, str] = {}
    while True:
        while idle and (video := next(todo, None)):
            name, path = video
            worker, names[path.as_posix()] = idle.pop(), name
            running[threads.submit(worker.examine, path)] = (name, worker)
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            name, worker = running.pop(future)
            idle.append(worker)
            yield name, future.result()
            while worker.taken_back:
                harmful = worker.taken_back.pop()
                if harmful.path in names:  # not for a remote file, whose downloaded path differs
                    yield names[harmful.path], harmful
