"""Settings dataclasses as tables: names, types, defaults, and descriptions."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal

import yaml
from reference_text import escape

from seqff.cli.help import Setting, fields
from seqff.config import TrainConfig


def parts_of(kind: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield a dataclass and those nested in it, with their dotted paths."""
    yield path, kind
    for setting in fields(kind):
        if dataclasses.is_dataclass(setting.kind):
            yield from parts_of(setting.kind, f"{path}.{setting.name}" if path else setting.name)


def table(kind: type, first: str, name: Callable[[Setting], str]) -> str:
    """Return a table of the fields of a dataclass; nested dataclasses have their own tables."""
    rows = [f"| {first} | takes | default | |", "|---|---|---|---|"]
    for setting in fields(kind):
        if setting.kind is TrainConfig:
            rows.append("| all [settings](settings.md) | | | as flags, such as `--pairs.size-px 96` |")
        elif not dataclasses.is_dataclass(setting.kind):
            cells = (name(setting), takes(setting.kind), default(setting.default), escape(setting.text))
            rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(rows)


def flag(setting: Setting) -> str:
    """Return the command-line flag of a setting."""
    if setting.positional:
        return f"`{setting.name.upper()}`"
    name = setting.name.replace("_", "-")
    return f"`--{name}`, `--no-{name}`" if setting.kind is bool else f"`--{name}`"


def takes(kind: Any) -> str:
    """Describe the values of a type in a word or two."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        each = takes(arguments[0])
        return f"{each}, any number" if arguments[-1] is Ellipsis else f"{len(arguments)} x {each}"
    if arguments:  # a union
        return " or ".join(takes(argument) for argument in arguments if argument is not type(None))
    return {"str": "text", "int": "whole number", "float": "number", "bool": "yes or no", "Path": "path"}.get(
        kind.__name__, kind.__name__
    )


def default(value: Any) -> str:
    """Format a default as YAML."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value in ((), ""):
        return ""
    value = list(value) if isinstance(value, tuple) else value
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=200).removesuffix('...' + chr(10)).strip()}`"
