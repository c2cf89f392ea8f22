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
    """Show how a training is doing: step, speed, time left, each layer's figures, and alarms in words.

    Reads:  a run folder that `seqff train` writes or has written; the training does not notice.

    Writes: nothing. On a terminal the figures are refreshed until the run ends; elsewhere they are printed whenever the
            run has come further. A run that was killed is told from one that runs, with the command that goes on.
            Exit code 1 if the run has stopped before its end.

    Example: seqff watch runs/first
    """

    run: Run
    once: bool = False
    """Print once and leave."""
    every_seconds: float = 2.0
    """Time between two looks."""
    json: Annotated[bool, tyro.conf.arg(help="Print a line of JSON instead, at every change.")] = False


def run(options: Options) -> int:
    """Show the figures until the run ends."""
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
