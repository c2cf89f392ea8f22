"""`seqff doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from seqff.cli.arguments import Device, Json, call_arguments, show_result


@dataclass(frozen=True)
class Options:
    """Show versions, available readers, and how fast this machine decodes and trains.

    Reads:  nothing; it decodes a generated clip and takes a few training steps.

    Writes: nothing permanent.

    Example: seqff doctor --json
    """

    device: Device = "auto"
    """Device to check."""
    json: Json = False


def run(options: Options) -> None:
    """Check, and print the report."""
    from seqff.doctor import doctor

    show_result(
        doctor(**call_arguments(options)), as_json=options.json, then=["next: seqff demo, or seqff scan VIDEOS"]
    )
