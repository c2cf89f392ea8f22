"""Read files of unknown origin: regular files only, with limits on their size and nesting."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from seqff.errors import RunError

MOST_JSON_BYTES = 2**26
MOST_YAML_BYTES = 1_000_000
_MOST_ALIASES = 20
_OF_OTHERS = ("wandb",)  # contains links, but is never read here


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading; a pipe might block, and a device might never end.

    Raises:
        OSError: it does not exist, or is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file, but a folder, a pipe or a device", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, most: int) -> bytes:
    """Read a plain file of at most `most` bytes.

    Raises:
        OSError: see `open_plain`.
        ValueError: it is larger.
    """
    with open_plain(path) as file:
        large = os.fstat(file.fileno()).st_size > most
        content = b"" if large else file.read(most + 1)  # which also finds what has grown since
    if large or len(content) > most:
        raise ValueError(f"{path.name} has more than {most} bytes, which is too much for what it should hold")
    return content


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the text is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_yaml(text: str) -> Any:
    """Parse YAML; no code is executed, and the number of aliases is limited.

    Raises:
        ValueError: the text is not YAML, or has too many aliases.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError, AttributeError, LookupError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


class _Loader(yaml.SafeLoader):
    """SafeLoader with few aliases: nested aliases make 10^20 values out of twenty lines."""

    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > _MOST_ALIASES:
                raise yaml.YAMLError(f"more than {_MOST_ALIASES} references (*name)")
        return super().compose_node(parent, index)


def check_plain(folder: Path) -> None:
    """Raise unless a result folder contains only regular files and folders.

    A link may lead to other files, a pipe may block its reader, and a device may never end.

    Raises:
        RunError: the folder contains one of these.
    """
    todo = [folder]
    while todo:
        here = todo.pop()
        try:
            entries = [entry for entry in os.scandir(here) if here != folder or entry.name not in _OF_OTHERS]
        except OSError:  # its reader will report it
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                todo.append(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False):
                kind = "a link" if entry.is_symlink() else "a pipe, a socket or a device"
                raise RunError(f"{entry.path} is {kind}: only plain files are read here; put the file itself there")


def check_inside(name: str) -> str:
    """Return a relative path, with forward slashes, that stays below the folder it starts from.

    Raises:
        ValueError: it does not, or it is not such a path.
    """
    parts = name.split("/")
    drive = os.name == "nt" and (":" in name or "\\" in name)
    if drive or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{name!r} is no path below its folder")
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ValueError(f"{name!r} is no name that a file can have") from error
    return name
