"""seqff: visual features from folders of unlabeled video, learned layer by layer.

Public names are listed in `__init__.pyi`, for type checkers and for this file; torch is only imported when one of them
is used.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from seqff.version import __version__ as __version__

_HOMES = {
    alias.asname: (node.module, alias.name)
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}
__all__ = sorted(_HOMES)


class _Package(ModuleType):
    """The package. A name shared by a function and its module (demo, doctor, ...) always refers to the function.

    Importing a module sets it as an attribute of its package; `seqff.report(...)` must still work afterwards.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name, ("", ""))[0] == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Import a public name on first access (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seqff' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
