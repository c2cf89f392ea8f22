"""What all commands share: parsing with tyro, and printing results."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, cast

import tyro

from seqff.config import TrainConfig
from seqff.config_io import load_config, load_facts, load_preset
from seqff.config_objective import Tolerances
from seqff.terminal import holds_escapes, visible

T = TypeVar("T")
Device = Literal["auto", "cpu", "cuda"]
RULES = tyro.constructors.ConstructorRegistry()
"""How flags are read whose kinds tyro does not know."""


@RULES.primitive_rule
def tolerance_rule(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Read a tolerance: a number, several (with spaces or commas between them), or a word."""
    if info.type != Tolerances:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="NUMBER|NUMBERS|falling|calibrated",
        instance_from_str=_tolerance,
        is_instance=lambda value: isinstance(value, (int, float, str, tuple)),
        str_from_instance=lambda value: [str(part) for part in value] if isinstance(value, tuple) else [str(value)],
    )


@RULES.primitive_rule
def distance_rule(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Read a distance in time: frames, or seconds such as 0.2s."""
    if info.type != int | str:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FRAMES|SECONDS",
        instance_from_str=lambda words: int(words[0]) if words[0].isdecimal() else words[0],
        is_instance=lambda value: isinstance(value, (int, str)),
        str_from_instance=lambda value: [str(value)],
    )


def _tolerance(words: list[str]) -> Any:
    parts = [part for part in ",".join(words).split(",") if part]
    if len(parts) == 1 and parts[0] in ("falling", "calibrated"):
        return parts[0]
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        numbers = ()
    if not numbers:
        raise ValueError(f"give a number, a number for every layer, falling or calibrated, not {' '.join(words)!r}")
    return numbers if len(numbers) > 1 else numbers[0]


def parse(kind: type[T], command: str, arguments: Sequence[str], default: T | None = None) -> T:
    """Parse a command's arguments into its dataclass, whose docstrings are the help text."""
    options = tyro.cli(
        kind,
        prog=f"seqff {command}",
        args=list(arguments),
        default=default,
        config=(tyro.conf.HelptextFromCommentsOff,),
        registry=RULES,
    )
    return cast(T, options)


def settings_before(arguments: Sequence[str]) -> TrainConfig | None:
    """Settings from --preset, then --config: the defaults of the other flags. None if neither is given."""
    preset, file = _find("--preset", arguments), _find("--config", arguments)
    if preset is None and file is None:
        return None
    settings = load_preset(preset or "default")
    return settings if file is None else load_config(file, settings)


def facts_before(arguments: Sequence[str]) -> dict[str, Any]:
    """What the file of --config says besides settings, if it is a run's: `seed`, and perhaps `init`."""
    file = _find("--config", arguments)
    return {} if file is None else load_facts(file)


def _find(flag: str, arguments: Sequence[str]) -> str | None:
    """Find a flag's value before the rest is parsed."""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
        if argument == flag and place + 1 < len(arguments):
            return arguments[place + 1]
    return None


def call_arguments(options: Any, *leave_out: str) -> dict[str, Any]:
    """Turn a command's dataclass into keyword arguments of the public function of the same name."""
    values = {spec.name: getattr(options, spec.name) for spec in dataclasses.fields(options)}
    return {name: value for name, value in values.items() if name not in ("json", *leave_out)}


def speaks() -> bool:
    """Say whether to print: of the processes that torchrun starts, the first one does."""
    return os.environ.get("RANK", "0") == "0"


def print_json(content: Any) -> None:
    """Print strict JSON on standard output."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        plain = not holds_escapes(text)
    except UnicodeEncodeError:  # names that are not UTF-8, or a terminal that is not
        plain = False
    print(text if plain else json.dumps(content, indent=1, allow_nan=False))


def show(*lines: str) -> None:
    """Print lines on standard output; what a terminal would obey in a name is shown as an escape."""
    print("\n".join(map(visible, lines)))
