"""`seqff doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from seqff.cli.arguments import Device, call_arguments, parse, print_json, show


@dataclass(frozen=True)
class DoctorOptions:
    """Say what is installed and how fast this machine decodes.

    Reads:  nothing; it decodes a clip made on the spot.

    Writes: nothing that stays.

    Example: seqff doctor --json
    """

    seed: int = 0
    """Of the clip."""
    device: Device = "auto"
    """Device to look for."""
    json: Annotated[bool, tyro.conf.arg(help="Print the findings as JSON.")] = False


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, look, print."""
    options = parse(DoctorOptions, "doctor", arguments)
    from seqff.doctor import doctor

    report = doctor(**call_arguments(options))
    if options.json:
        print_json(report.to_dict())
    else:
        show(report.table())
        show("next: seqff demo, or seqff scan VIDEOS")
