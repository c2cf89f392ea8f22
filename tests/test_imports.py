"""The house stands: imports run downward only and without circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "seqff"
FLOORS = [
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
"""What may be imported where it is used: what may be missing, what is slow to come, what some systems lack."""
LATE_ROOMS = {"seqff", "cli"}
"""Whose own imports may be late: the public names, commands (their help needs no torch)."""
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def modules() -> dict[str, Path]:
    """All modules of the package by dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of all modules, and of what is taken from them, that some nodes import."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(path: Path) -> set[str]:
    """Names of seqff modules a file imports, also inside functions and for type checkers alone."""
    found = imported(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return {name for name in found if name.split(".")[0] == "seqff"}


def late_imports(path: Path) -> set[str]:
    """Names of modules a file imports inside functions or for type checkers alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if typing_only or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names |= imported(ast.walk(node))
    return names


def room(module: str) -> str | None:
    """The room (first name below seqff) a module is in."""
    return module.split(".")[1] if "." in module else None


def test_imports_run_downward_only() -> None:
    """No room imports from its own floor (other than itself) or from above."""
    wrong = []
    for name, path in modules().items():
        here = room(name)
        if here is None or here == "__main__":  # the public face may name everything, lazily
            continue
        assert here in FLOOR, f"{name} is in no floor: put {here!r} into FLOORS and ARCHITECTURE.md"
        for target in imports(path):
            there = room(target)
            if there in FLOOR and there != here and FLOOR[there] >= FLOOR[here] and FLOOR[here] > 0:
                wrong.append(f"{name} imports {target}")
            if FLOOR[here] == 0 and there in FLOOR and FLOOR[there] > 0:
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_import_circles() -> None:
    """Following imports, hidden ones as well, never leads back to where one started."""
    known = modules()
    graph = {
        name: {target for target in imports(path) if target in known and target != name} for name, path in known.items()
    }
    for name in graph:  # a package's __init__ importing its own modules is the one way round that is meant
        graph[name] = {t for t in graph[name] if not name.startswith(f"{t}.")}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "circle: " + " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                walk(target, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def test_late_imports_are_of_what_is_optional_or_slow() -> None:
    """Inside functions and under TYPE_CHECKING stand packages that may be missing or are slow to come, and commands'
    functions; nothing hides there because of a circle."""
    wrong = []
    for name, path in modules().items():
        if name not in LATE_ROOMS and room(name) not in LATE_ROOMS:
            late = {target for target in late_imports(path) if target.split(".")[0] not in LATE_PACKAGES}
            wrong += [f"{name} imports {target}" for target in sorted(late)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("code", ["import seqff, seqff.cli; seqff.cli.overview()", "import seqff.video.workers"])
def test_not_all_needs_torch(code: str) -> None:
    """`import seqff`, the command line's help and the processes of a scan cost no import of torch."""
    command = [sys.executable, "-c", f"import sys; {code}; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, check=False).returncode == 0


def test_every_public_name_can_be_had() -> None:
    """Each name in seqff.__all__ exists, and an unknown one is an AttributeError."""
    import seqff

    assert all(getattr(seqff, name) is not None for name in seqff.__all__)
    assert not hasattr(seqff, "no_such_name")
