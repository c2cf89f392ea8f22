"""The process that decodes during a scan: paths in, entries out, a sign of life in between; the parent may kill it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from seqff.orphans import end_with

BEAT = "."
_EVERY_SECONDS = 0.5


def main() -> None:
    """Reads one JSON path a line until the input ends; answers each with beats and one JSON entry.

    The first argument is the process id of the one that asks; this one ends with it.
    """
    end_with(int(sys.argv[1]))
    answers = sys.stdout
    _say(answers, BEAT)
    import av

    from seqff.video.examine import examine

    av.logging.set_level(av.logging.PANIC)  # print nothing, but let errors say what FFmpeg said
    decord = _decord()
    for line in sys.stdin:
        entry = examine(Path(json.loads(line)), decord=decord, beat=_Beat(answers))
        _say(answers, json.dumps(entry.to_dict()))


class _Beat:
    def __init__(self, answers: TextIO) -> None:
        self._answers, self._last = answers, time.monotonic()

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._last > _EVERY_SECONDS:
            self._last = now
            _say(self._answers, BEAT)


def _decord() -> Any:
    from seqff.video.decord_reader import decord_available, quiet_decord

    try:
        return quiet_decord() if decord_available() else None
    except Exception:  # installed, but not for this machine
        return None


def _say(answers: TextIO, text: str) -> None:
    answers.write(text + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
