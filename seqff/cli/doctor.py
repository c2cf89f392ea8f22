"""`seqff doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from seqff.cli.arguments import Device, Json, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Say what is installed, how fast this machine decodes and trains.

    Reads:  nothing; it decodes a clip made on the spot and takes a few steps.

    Writes: nothing that stays.

    Example: seqff doctor --json
    """

    device: Device = "auto"
    """Device to look for."""
    json: Json = False


def run(options: Options) -> None:
    """Look, print."""
    from seqff.doctor import doctor

    show_result(
        doctor(**call_arguments(options)), as_json=options.json, then=["next: seqff demo, or seqff scan VIDEOS"]
    )
