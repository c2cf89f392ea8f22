"""stream.json: what came of a stream and what was lost, for who reads the run afterwards; and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqff.errors import RunError
from seqff.files import read_json, write_json
from seqff.training.run_folder import STREAM


def read_facts(run: Path) -> dict[str, Any]:
    """Return what earlier processes noted of the run's stream; nothing where there is no such file."""
    return read_json(run / STREAM) if (run / STREAM).is_file() else {}


def write_facts(run: Path, facts: Mapping[str, Any]) -> None:
    """Write it down.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        write_json(run / STREAM, dict(facts))
    except OSError as error:
        raise RunError(f"{run / STREAM}: cannot be written ({error.strerror})") from error


def add_up(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Put the facts of this process behind those of the ones before: counts are added, the rest is of now."""
    both = dict(now)
    for name in ("frames", "came", "dropped", "connections_lost", "sessions"):
        both[name] = before.get(name, 0) + now.get(name, 0)
    both["losses"] = [*before.get("losses", []), *now.get("losses", [])][-50:]
    return both


def describe(facts: Mapping[str, Any]) -> list[str]:
    """Say in lines what came and what was lost."""
    sessions = f" in {facts['sessions']} sessions" if facts.get("sessions", 1) > 1 else ""
    lines = [
        f"{facts.get('source', 'a stream')}: {facts.get('frames', 0)} frames{sessions}, "
        f"{facts.get('dropped', 0)} dropped, connection lost {facts.get('connections_lost', 0)} times"
    ]
    for loss in facts.get("losses", []):
        back = "never came back" if loss["seconds"] is None else f"back after {loss['seconds']:.3g} s"
        lines.append(f"lost: {loss['cause']} ({loss['attempts']} attempts, {back})")
    return lines
