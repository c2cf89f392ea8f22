"""Docstrings and signatures as Markdown."""

from __future__ import annotations

import inspect
import re
from typing import Any

SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$")
ENTRY = re.compile(r"^ {4}(\*{0,2}\w[\w, `.]*): (.*)$")


def prose(doc: str) -> str:
    """Convert a Google-style docstring to Markdown."""
    out: list[str] = []
    inside = False
    for line in doc.splitlines():
        if SECTION.match(line):
            inside = True
            out += [f"**{line.removesuffix(':')}**", ""]
        elif entry := inside and ENTRY.match(line):
            out.append(f"- `{entry[1]}`: {escape(entry[2])}")
        else:
            inside = inside and (not line or line.startswith(" "))
            continues = inside and line.strip() and out[-1].startswith(("- ", "  "))
            out.append(f"  {escape(line.strip())}" if continues else escape(line.strip() if inside else line))
    return "\n".join(out)


def escape(text: str) -> str:
    """Escape Markdown characters in plain text, except in code between backticks."""
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [re.sub(r"([*_\[\]])", r"\\\1", piece).replace("<", "&lt;") for piece in pieces[::2]]
    return "".join(pieces)


def fence(text: str, language: str = "text") -> str:
    """Return a code block."""
    return f"```{language}\n{text.rstrip()}\n```"


def signature(name: str, value: Any) -> str:
    """Return a signature with one argument per line."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return name
    lines, starred = [], False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            lines.append("*")
            starred = True
        text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
        if parameter.annotation is not parameter.empty:
            noted = parameter.annotation
            text += f": {noted if isinstance(noted, str) else inspect.formatannotation(noted)}"
        if parameter.default is not parameter.empty:
            text += f" = {parameter.default!r}"
        lines.append(text)
    if not lines:
        return f"{name}()"
    return f"{name}(\n" + "".join(f"    {line},\n" for line in lines) + ")"


def members(value: type) -> list[str]:
    """List the public methods and properties of a class, with the first lines of their docstrings."""
    found = []
    for kind in reversed(value.__mro__):
        if not kind.__module__.startswith("seqff."):
            continue
        for name, member in vars(kind).items():
            called = getattr(member, "__func__", member)
            text = inspect.getdoc(called)
            if not name.startswith("_") and text and (callable(called) or hasattr(member, "__get__")):
                arguments = "" if not inspect.isfunction(called) else "()"
                found.append(f"- `{name}{arguments}`: {escape(text.splitlines()[0])}")
    return found
