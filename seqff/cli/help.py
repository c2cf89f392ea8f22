"""The output of `--help`: one screen of everyday flags, or the settings of a group. `--help-all` is tyro's."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from seqff.config_io import suggest

_POSITIONAL = get_args(tyro.conf.Positional[int])[1]
_COLUMN = 24


@dataclasses.dataclass(frozen=True)
class Setting:
    """A field of a dataclass of arguments or settings.

    Args:
        name: its name in Python.
        kind: its type.
        marks: its annotations for tyro.
        default: its default; `dataclasses.MISSING` if it is required.
        text: description in one line.
    """

    name: str
    kind: Any
    marks: tuple[Any, ...]
    default: Any
    text: str

    @property
    def positional(self) -> bool:
        """Whether it is positional."""
        return _POSITIONAL in self.marks

    @property
    def flag(self) -> str:
        """The flag, with a placeholder for its value."""
        named = next((mark.metavar for mark in self.marks if getattr(mark, "metavar", None)), "")
        return named if self.positional else f"--{self.name.replace('_', '-')} {named or _takes(self.kind)}".rstrip()


def fields(kind: type, given: Any = None) -> list[Setting]:
    """Return the fields of a dataclass, with the values of an instance as defaults, if one is given.

    Their descriptions are the strings below them.
    """
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    texts = {}
    for line, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            texts[ast.unparse(line.target)] = str(below.value.value)
    found, hints = [], get_type_hints(kind, include_extras=True)
    for spec in dataclasses.fields(kind):
        hint, *marks = get_args(hints[spec.name]) if get_origin(hints[spec.name]) is Annotated else [hints[spec.name]]
        text = next((mark.help for mark in marks if getattr(mark, "help", None)), texts.get(spec.name, ""))
        value = spec.default if spec.default_factory is dataclasses.MISSING else spec.default_factory()
        value = value if getattr(given, spec.name, tyro.MISSING) is tyro.MISSING else getattr(given, spec.name)
        found.append(Setting(spec.name, hint, tuple(marks), value, " ".join(text.split())))
    return found


def walk(kind: Any, given: Any = None, prefix: str = "") -> Iterator[Setting]:
    """Yield the fields of a dataclass and nested ones, with dotted names; see `fields`."""
    for setting in fields(kind, given):
        if dataclasses.is_dataclass(setting.kind):
            unnamed = any(getattr(mark, "name", None) == "" for mark in setting.marks)
            yield from walk(setting.kind, setting.default, prefix if unnamed else f"{prefix}{setting.name}.")
        else:
            yield dataclasses.replace(setting, name=f"{prefix}{setting.name}")


def everyday_help(command: str, kind: type, everyday: Sequence[str], given: Any) -> str:
    """Return one screen: the description of a command, its everyday flags, and how to see the others.

    Args:
        command: its name.
        kind: dataclass of its arguments.
        everyday: names of the arguments to show, in this order.
        given: an instance with the defaults; None for those of the dataclass.
    """
    known = {setting.name: setting for setting in walk(kind, given)}
    groups = dict.fromkeys(name.partition(".")[0] for name in known if "." in name)
    needed = [one.flag for one in known.values() if one.positional]
    needed += [  # --out is optional for a dry run only
        one.flag
        for one in known.values()
        if not one.positional and (one.default is dataclasses.MISSING or one.name == "out")
    ]
    lines = [f"usage: seqff {command} {' '.join(needed)} [OPTIONS]", "", *(inspect.getdoc(kind) or "").splitlines(), ""]
    for name in everyday:
        first = re.split(r"(?<=[.;]) ", known[name].text)[0]
        head, _, _ = first.partition(": ")
        first = head if " " in head else first
        lines += _two_columns(dataclasses.replace(known[name], text=first.rstrip(".;")))
    more = "All flags: --help-all." + f" One group: --help {', '.join(groups)}." * bool(groups)
    return "\n".join([*lines, "", more])


def group_help(kind: type, group: str, given: Any) -> str:
    """Return the help of a group of settings, such as pairs or objective.infonce, or of a single setting.

    Raises:
        ValueError: there is no such group or setting.
    """
    wanted, known = group.lstrip("-").replace("-", "_"), list(walk(kind, given))
    shown = [setting for setting in known if f"{setting.name}.".startswith(f"{wanted}.")]
    if not shown:
        groups = list(dict.fromkeys(setting.name.rpartition(".")[0] or setting.name for setting in known))
        names = dict.fromkeys([*groups, *(setting.name for setting in known)])
        close = difflib.get_close_matches(wanted, names, n=1)
        raise ValueError(f"no settings {group!r}; {suggest(wanted, close or groups).replace('_', '-')}")
    return "\n".join(line for setting in shown for line in _two_columns(setting))


def _two_columns(setting: Setting) -> list[str]:
    """Return a flag and its description, side by side if the flag is short."""
    text, flag, value = setting.text, setting.flag, setting.default
    if not isinstance(value, bool) and value not in (dataclasses.MISSING, None, (), "", "default"):
        text += f" (default: {' '.join(map(str, value)) if isinstance(value, tuple) else value})"
    lines = textwrap.wrap(text, min(shutil.get_terminal_size().columns, 100) - _COLUMN - 4) or [""]
    beside = [f"  {flag:<{_COLUMN}} {lines.pop(0)}"] if len(flag) <= _COLUMN else [f"  {flag}"]
    return beside + [" " * (_COLUMN + 3) + line for line in lines]


def _takes(kind: Any) -> str:
    """Return a placeholder for values of a type."""
    parts = [part for part in get_args(kind) if part not in (type(None), Ellipsis)]
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if parts:
        return "|".join(dict.fromkeys(map(_takes, parts))) + " ..." * (get_origin(kind) is tuple)
    return "" if kind is bool else str(kind.__name__).upper()
