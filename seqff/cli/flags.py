"""The flags of every command, read off the dataclasses that hold its arguments."""

from __future__ import annotations

import dataclasses
import importlib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from seqff.presets import PRESETS

POSITIONAL = get_args(tyro.conf.Positional[int])[1]


@dataclass(frozen=True)
class Flag:
    """A flag of a command.

    Args:
        name: with its hyphens.
        choices: the values it takes, where they can be listed.
        takes_value: whether something follows it.
    """

    name: str
    choices: tuple[str, ...] = ()
    takes_value: bool = True


def options_of(command: str) -> list[type]:
    """Return the dataclasses that hold a command's arguments: one, or one an action (`seqff config show`)."""
    module = importlib.import_module(f"seqff.cli.{command}")
    own = [kind for kind in vars(module).values() if getattr(kind, "__module__", "") == module.__name__]
    return [kind for kind in own if isinstance(kind, type) and dataclasses.is_dataclass(kind)]


def flags_of(command: str) -> list[Flag]:
    """Return all flags of a command."""
    found = [flag for kind in options_of(command) for flag in _walk(kind, "")]
    return [*dict.fromkeys(found), Flag("--help", takes_value=False), Flag("--debug", takes_value=False)]


def _walk(kind: type, prefix: str) -> Iterator[Flag]:
    """Yield the flags of a dataclass and those nested in it."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        marks: tuple[Any, ...] = ()
        if get_origin(hint) is Annotated:
            hint, *rest = get_args(hint)
            marks = tuple(rest)
        plain = name.replace("_", "-")
        if POSITIONAL in marks:
            continue
        if dataclasses.is_dataclass(hint):
            unnamed = any(getattr(mark, "name", None) == "" for mark in marks)
            yield from _walk(hint, prefix if unnamed else f"{prefix}{plain}.")  # type: ignore[arg-type]
        elif hint is bool:
            yield Flag(f"--{prefix}{plain}", takes_value=False)
            yield Flag(f"--{prefix}no-{plain}", takes_value=False)
        else:
            yield Flag(f"--{prefix}{plain}", tuple(PRESETS) if name == "preset" else _choices(hint))


def _choices(hint: Any) -> tuple[str, ...]:
    """Return the values that an annotation lists, in unions and tuples, too."""
    if get_origin(hint) is Literal:
        return tuple(str(value) for value in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return tuple(dict.fromkeys(value for part in get_args(hint) for value in _choices(part)))
    return ()
