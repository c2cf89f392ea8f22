"""The few kinds of errors seqff raises about files and runs; arguments raise ValueError or TypeError."""

from __future__ import annotations

from os import PathLike


class SeqffError(Exception):
    """Base of every error seqff raises about files, runs and labels."""


class VideoError(SeqffError):
    """A video could not be read.

    Args:
        path: the file.
        reader: name of the reader that failed ("decord", "pyav", ...).
        cause: what the reader said, in one line.
    """

    def __init__(self, path: str | PathLike[str], reader: str, cause: str) -> None:
        self.path, self.reader, self.cause = str(path), reader, cause
        super().__init__(f"{self.path}: {cause} (reader: {reader})")

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str, str]]:
        return type(self), (self.path, self.reader, self.cause)


class ManifestError(SeqffError):
    """A manifest cannot be read, does not fit its files, or lists too many bad files."""


class ConfigError(SeqffError):
    """A configuration file or value is wrong."""


class RunError(SeqffError):
    """A run folder, checkpoint or feature store is missing, incomplete, damaged or in the way."""


class LabelError(SeqffError):
    """Labels or groups do not fit the videos."""
