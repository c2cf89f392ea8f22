"""How flags are read whose kinds tyro does not know."""

from __future__ import annotations

from typing import Any

import tyro

from seqff.config_objective import Tolerances

RULES = tyro.constructors.ConstructorRegistry()


@RULES.primitive_rule
def number_rule(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
    """Read a number; what is none is said in plain words."""
    if info.type not in (int, float):
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar=info.type.__name__.upper(),
        instance_from_str=_whole if info.type is int else _number,
        is_instance=lambda value: isinstance(value, (int, float) if info.type is float else int),
        str_from_instance=lambda value: [str(value)],
    )


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


def _whole(words: list[str]) -> int:
    try:
        return int(words[0])
    except ValueError:
        raise ValueError(f"{words[0]!r} is no whole number") from None


def _number(words: list[str]) -> float:
    try:
        return float(words[0])
    except ValueError:
        raise ValueError(f"{words[0]!r} is no number") from None


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
