"""Exceptions about files and runs; wrong arguments raise ValueError or TypeError."""

from __future__ import annotations

import errno
import os
import shutil
from os import PathLike
from pathlib import Path

from seqff.terminal import visible

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class SeqffError(Exception):
    """Base class of errors about files, runs and labels; its message is safe to print on a terminal."""

    def __str__(self) -> str:
        return visible(self.args[0]) if len(self.args) == 1 and isinstance(self.args[0], str) else super().__str__()


class VideoError(SeqffError):
    """A video could not be read.

    Args:
        path: the file.
        reader: name of the reader that failed ("decord", "pyav", ...).
        cause: the reader's message, in one line.
    """

    def __init__(self, path: str | PathLike[str], reader: str, cause: str) -> None:
        self.path, self.reader, self.cause = str(path), reader, cause
        super().__init__(f"{self.path}: {cause} (reader: {reader})")

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str, str]]:
        return type(self), (self.path, self.reader, self.cause)


class NoVideoError(SeqffError, ValueError):
    """No video was found."""


class ManifestError(SeqffError):
    """A manifest cannot be read, does not match its files, or lists too many bad files."""


class ConfigError(SeqffError):
    """A configuration file or value is invalid."""


class RunError(SeqffError):
    """A run folder, checkpoint or feature store is missing, incomplete, damaged, or already exists."""


class LabelError(SeqffError):
    """Labels or groups do not match the videos."""


class WriteError(RunError, OSError):
    """A file cannot be written; the message gives the file, the reason, the space needed and a remedy.

    Args:
        path: the file or folder.
        error: the system's error.
        needed: bytes to be written; 0 if unknown.

    Attributes:
        errno: of the system's error.
        strerror: the reason, with the space needed and a remedy.
    """

    def __init__(self, path: str | PathLike[str], error: OSError, needed: int = 0) -> None:
        self.path, self.cause, self.needed = str(path), error, needed
        why = error.strerror or " ".join(str(error).split()) or type(error).__name__
        super().__init__(f"{self.path} cannot be written: {why}{self._advice(error)}")
        self.errno, self.strerror = error.errno, f"{why}{self._advice(error)}"

    def __reduce__(self) -> tuple[type[WriteError], tuple[str, OSError, int]]:
        return type(self), (self.path, self.cause, self.needed)

    def __str__(self) -> str:
        return visible(str(self.args[0]))

    def _advice(self, error: OSError) -> str:
        needs = f"; it needs {size_text(self.needed)}" if self.needed else ""
        if error.errno in _FULL:
            return f"{needs}{_room(Path(self.path))}: make room, or choose a folder on another disk"
        if error.errno == errno.EFBIG:
            return (
                f"{needs}, more than the disk or a limit (ulimit -f) lets a file have: raise it, or choose another disk"
            )
        return f"{needs}: choose another folder, or have its owner let you write there"


def size_text(count: int) -> str:
    """Format a number of bytes with a unit."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _room(path: Path) -> str:
    """Describe the free space on the disk of a file; empty if unknown."""
    try:
        there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
        return f", {size_text(shutil.disk_usage(there).free)} are free there"
    except OSError:
        return ""
