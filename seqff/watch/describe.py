"""Format the progress of a run as text."""

from __future__ import annotations

import textwrap

from seqff.metrics import LEGEND, check_lines, clock, table
from seqff.terminal import as_lines
from seqff.watch.progress import Progress


def describe(now: Progress, *, width: int = 100) -> str:
    """Return the output of `seqff watch`.

    Args:
        now: the progress.
        width: columns; longer lines are wrapped, except in the table and the command.
    """
    lines = textwrap.wrap(headline(now), width)
    if now.layers:
        lines += ["", *table(now.layers), *textwrap.wrap(f"{LEGEND}, beside that of the untrained layer", width)]
    checked = check_lines(now.layers)
    if checked:
        lines += ["", *checked]
    if now.alarms:
        lines += ["", "alarms:"]
        for step, text in now.alarms:
            lines += textwrap.wrap(f"step {step}: {text}", width, initial_indent="  ", subsequent_indent="    ")
    return as_lines([*lines, *_next(now)])


def headline(now: Progress) -> str:
    """Describe the state of the run in one line."""
    share = f"step {now.step}" + (f" of {now.steps} ({now.step / now.steps:.0%})" if now.steps else "")
    speed = "" if now.frames_per_second is None else f", {now.frames_per_second:.0f} frames/s"
    left = "" if now.seconds_left is None else f", {clock(now.seconds_left)} left"
    saved = "no checkpoint yet" if now.checkpoint is None else f"last checkpoint: step {now.checkpoint}"
    if now.state == "starting":
        return f"{now.run}: starting, no step has been logged yet"
    if now.state == "finished":
        return f"{now.run}: finished, {now.step} steps{speed}"
    if now.state == "stopped":
        return f"{now.run}: stopped at {share} - killed, interrupted or failed; {saved}"
    return f"{now.run}: running, {share}{speed}{left}; {saved}"


def _next(now: Progress) -> list[str]:
    if now.state == "finished":
        return ["", f"next: seqff extract {now.run} VIDEOS --out FEATURES"]
    if now.state != "stopped":
        return []
    again = now.step - (now.checkpoint or 0)
    lost = f"; the {again} steps logged since are taken again" if again > 0 else ""
    begin = "from the start" if now.checkpoint is None else f"from step {now.checkpoint}"
    return ["", f"It continues {begin}{lost}, with", f"next: {now.command}"]
