"""stream.json, the statistics of a stream: counts of received and lost frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqff.files import read_json
from seqff.training.run_folder import STREAM


def read_statistics(run: Path) -> dict[str, Any]:
    """Return the statistics that earlier processes wrote; empty if there are none."""
    return read_json(run / STREAM) if (run / STREAM).is_file() else {}


def add_up(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Add the statistics of this process to earlier ones: counts are summed, other values replaced."""
    both = dict(now)
    for name in ("frames", "came", "dropped", "connections_lost", "sessions"):
        both[name] = before.get(name, 0) + now.get(name, 0)
    both["losses"] = [*before.get("losses", []), *now.get("losses", [])][-50:]
    return both


def describe(statistics: Mapping[str, Any]) -> list[str]:
    """Format the statistics as lines of text."""
    sessions = f" in {statistics['sessions']} sessions" if statistics.get("sessions", 1) > 1 else ""
    lines = [
        f"{statistics.get('source', 'a stream')}: {statistics.get('frames', 0)} frames{sessions}, "
        f"{statistics.get('dropped', 0)} dropped, connection lost {statistics.get('connections_lost', 0)} times"
    ]
    for loss in statistics.get("losses", []):
        back = "never came back" if loss["seconds"] is None else f"back after {loss['seconds']:.3g} s"
        lines.append(f"lost: {loss['cause']} ({loss['attempts']} attempts, {back})")
    return lines
