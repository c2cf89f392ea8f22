"""`seqff watch`."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from seqff.cli.arguments import Run, call_arguments

UP_AND_CLEAR = "\x1b[{lines}F\x1b[J"


@dataclass(frozen=True)
class Options:
    """Show the progress of a training: step, speed, time left, metrics of each layer, and alarms.

    Reads:  a run folder that `seqff train` writes or has written; does not affect the training.

    Writes: nothing. On a terminal, the display is refreshed until the run ends; otherwise it is printed after each
            advance. Detects runs that were killed, and prints the command that resumes them. Exit code 1 if the run has
            stopped before its end.

    Example: seqff watch runs/first
    """

    run: Run
    once: bool = False
    """Print once and exit."""
    every_seconds: float = 2.0
    """Polling interval."""
    json: Annotated[bool, tyro.conf.arg(help="Print a line of JSON instead, at every change.")] = False


def run(options: Options) -> int:
    """Show the progress until the run ends."""
    from seqff.watch import watch
    from seqff.watch.describe import describe

    redraw = sys.stdout.isatty() and not options.json
    shown, code = 0, 0
    for now in watch(**call_arguments(options)):
        width = shutil.get_terminal_size().columns if redraw else 100
        text = json.dumps(now.to_dict(), allow_nan=False) if options.json else describe(now, width=width)
        back = UP_AND_CLEAR.format(lines=shown) if shown else ""
        plain = "" if redraw or options.json else "\n"
        print(f"{back}{text}\n{plain}", end="", flush=True)
        shown = sum(max(1, -(-len(line) // width)) for line in text.split("\n")) if redraw else 0
        code = int(now.state == "stopped")
    return code
