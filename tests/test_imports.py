"""The architecture holds: imports run downward only and have no cycles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "seqff"
LEVELS = [
    {
        "errors",
        "version",
        "files",
        "untrusted",
        "cores",
        "devices",
        "display",
        "allocator",
        "config",
        "config_io",
        "presets",
        "transform",
        "grid_mean",
        "metrics",
        "locks",
        "random_streams",
        "relation",
        "claim",
        "orphans",
        "terminal",
    },
    {"video", "nets", "objectives"},
    {"pairs"},
    {"training"},
    {"distributed", "forward_forward", "online"},
    {"train"},
    {"features"},
    {"probes"},
    {"report"},
    {"convert", "demo", "doctor", "explore", "watch"},
    {"cli"},
]
LATE_PACKAGES = {
    *(
        "aiohttp",
        "decord",
        "fsspec",
        "huggingface_hub",
        "onnx",
        "onnxscript",
        "pandas",
        "pyarrow",
        "timm",
        "torchcodec",
        "umap",
    ),
    *("av", "cv2", "matplotlib", "numpy", "sklearn", "torch", "torchvision", "tqdm"),
    "fcntl",
}
"""Packages that may be imported late: optional ones, slow ones, and those that some platforms lack."""
LATE_IMPORTERS = {"seqff", "cli"}
"""Modules whose imports may be late: the public names, and commands (whose help needs no torch)."""
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def modules() -> dict[str, Path]:
    """All modules of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of all modules and their members that some nodes import."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(path: Path) -> set[str]:
    """Names of seqff modules a file imports, including inside functions and under TYPE_CHECKING."""
    found = imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {name for name in found if name.split(".")[0] == "seqff"}


def late_imports(path: Path) -> set[str]:
    """Names of modules a file imports inside functions or under TYPE_CHECKING."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if typing_only or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names |= imported(ast.walk(node))
    return names


def package_of(module: str) -> str | None:
    """The package (first name below seqff) of a module."""
    return module.split(".")[1] if "." in module else None


def test_imports_run_downward_only() -> None:
    """No package imports another one from its own level or from above."""
    wrong = []
    for name, path in modules().items():
        here = package_of(name)
        if here is None or here == "__main__":  # the public API may name everything, lazily
            continue
        assert here in LEVEL, f"{name} has no level: add {here!r} to LEVELS and ARCHITECTURE.md"
        for target in imports(path):
            there = package_of(target)
            if there in LEVEL and there != here and LEVEL[there] >= LEVEL[here] and LEVEL[here] > 0:
                wrong.append(f"{name} imports {target}")
            if LEVEL[here] == 0 and there in LEVEL and LEVEL[there] > 0:
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_import_cycles() -> None:
    """No chain of imports, including late ones, leads back to its start."""
    known = modules()
    graph = {
        name: {target for target in imports(path) if target in known and target != name} for name, path in known.items()
    }
    for name in graph:  # a package's __init__ importing its own modules is the one cycle allowed
        graph[name] = {t for t in graph[name] if not name.startswith(f"{t}.")}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "cycle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                walk(target, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_late_imports_are_of_what_is_optional_or_slow() -> None:
    """Only optional or slow packages, and the functions of commands, are imported late (in functions or TYPE_CHECKING);
    nothing is imported late because of a cycle."""
    wrong = []
    for name, path in modules().items():
        if name not in LATE_IMPORTERS and package_of(name) not in LATE_IMPORTERS:
            late = {target for target in late_imports(path) if target.split(".")[0] not in LATE_PACKAGES}
            wrong += [f"{name} imports {target}" for target in sorted(late)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", ["import seqff, seqff.cli; seqff.cli.overview()", "import seqff.video.workers"])
def test_torch_is_imported_only_where_needed(code: str) -> None:
    """`import seqff`, the command line's help and the processes of a scan do not import torch."""
    command = [sys.executable, "-c", f"import sys; {code}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, check=False).returncode == 0


def test_public_names_exist() -> None:
    """Each name in seqff.__all__ exists, and an unknown one is an AttributeError."""
    import seqff

    assert all(getattr(seqff, name) is not None for name in seqff.__all__)
    assert not hasattr(seqff, "no_such_name")
