"""Dataclasses of settings as tables: names, values, defaults, and the texts below the fields."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Callable, Iterator
from typing import Any, Literal

import tyro
import yaml
from reference_text import escape, flat

from seqff.config import TrainConfig

POSITIONAL = typing.get_args(tyro.conf.Positional[int])[1]


@dataclasses.dataclass(frozen=True)
class Setting:
    """One field of a dataclass of settings, as the tables show it."""

    name: str
    kind: Any
    positional: bool
    default: Any
    text: str


def parts_of(kind: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield a dataclass and those nested in it, with their dotted paths."""
    yield path, kind
    for setting in fields(kind):
        if dataclasses.is_dataclass(setting.kind):
            yield from parts_of(setting.kind, f"{path}.{setting.name}" if path else setting.name)


def walk(kind: type) -> Iterator[tuple[str, Setting]]:
    """Yield the dotted name of every setting in a dataclass and those nested in it."""
    for path, part in parts_of(kind):
        for setting in fields(part):
            if not dataclasses.is_dataclass(setting.kind):
                yield f"{path}.{setting.name}" if path else setting.name, setting


def fields(kind: type) -> list[Setting]:
    """Read the fields of a dataclass: types and defaults from the class, texts from the strings below the fields."""
    texts, hints = below(kind), typing.get_type_hints(kind, include_extras=True)
    found = []
    for spec in dataclasses.fields(kind):
        hint = hints[spec.name]
        extras: tuple[Any, ...] = ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *rest = typing.get_args(hint)
            extras = tuple(rest)
        helps = [getattr(extra, "help", None) for extra in extras]
        text = next((help for help in helps if help), texts.get(spec.name, ""))
        default = spec.default
        if spec.default_factory is not dataclasses.MISSING:
            default = spec.default_factory()
        found.append(Setting(spec.name, hint, POSITIONAL in extras, default, text))
    return found


def below(kind: type) -> dict[str, str]:
    """Return the string that stands below each field of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = inspect.cleandoc(str(text.value.value))
    return found


def table(kind: type, first: str, name: Callable[[Setting], str]) -> str:
    """Make a table of the fields of a dataclass; what is itself a dataclass has a table of its own."""
    rows = [f"| {first} | takes | default | |", "|---|---|---|---|"]
    for setting in fields(kind):
        if setting.kind is TrainConfig:
            rows.append("| all [settings](settings.md) | | | as flags, such as `--pairs.gap 4` |")
        elif not dataclasses.is_dataclass(setting.kind):
            cells = (name(setting), takes(setting.kind), default(setting.default), escape(flat(setting.text)))
            rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(rows)


def flag(setting: Setting) -> str:
    """Return how an argument is written on the command line."""
    if setting.positional:
        return f"`{setting.name.upper()}`"
    name = setting.name.replace("_", "-")
    return f"`--{name}`, `--no-{name}`" if setting.kind is bool else f"`--{name}`"


def takes(kind: Any) -> str:
    """Say in a word or two what values a type has."""
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
    """Write a default as YAML would."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value in ((), ""):
        return ""
    value = list(value) if isinstance(value, tuple) else value
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=200).removesuffix('...' + chr(10)).strip()}`"
