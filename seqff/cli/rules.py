"""Parsing of numbers, tolerances and temporal distances on the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from seqff.config import Tolerances

RULES = ConstructorRegistry()


@RULES.primitive_rule
def rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Return how to parse a number, a tolerance or a temporal distance; None for other types."""
    if info.type == int | None:
        return _spec("INT", lambda words: None if words == ["None"] else _number(int, words), int, type(None))
    if info.type in (int, float):
        kinds = (int, float) if info.type is float else (int,)
        return _spec(info.type.__name__.upper(), partial(_number, info.type), *kinds)
    if info.type == Tolerances:
        return _spec("NUMBER|NUMBERS|falling|calibrated", _tolerance, int, float, str, tuple, nargs="*")
    if info.type == int | str:
        return _spec("FRAMES|SECONDS", lambda words: int(words[0]) if words[0].isdecimal() else words[0], int, str)
    return None


def _spec(
    metavar: str, read: Callable[[list[str]], Any], *kinds: type, nargs: Any = 1
) -> PrimitiveConstructorSpec[Any]:
    return PrimitiveConstructorSpec(
        nargs=nargs,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, kinds),
        str_from_instance=lambda value: list(map(str, value if isinstance(value, tuple) else (value,))),
    )


def _number(kind: type, words: list[str]) -> Any:
    try:
        return kind(words[0])
    except ValueError:
        raise ValueError(f"{words[0]!r} is no {'whole ' if kind is int else ''}number") from None


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
