"""Shared by all commands: common arguments, parsing with tyro, and printing of results."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal, get_args

import tyro

from seqff.cli.help import everyday_help, group_help, walk
from seqff.cli.rules import RULES
from seqff.config_io import load_settings
from seqff.presets import PRESETS
from seqff.terminal import holds_escapes, visible

arg = tyro.conf.arg
_MOST_NAMED = 3
Run = Annotated[tyro.conf.Positional[Path], arg(metavar="RUN", help="Run folder.")]
Features = Annotated[tyro.conf.Positional[Path], arg(metavar="FEATURES", help="Feature store.")]
VIDEOS = (
    "Folder, video, tar file of videos, list (*.txt) or manifest (*.sqlite, *.json); local or at an address (s3://, "
    "https://, ...)."
)
Videos = Annotated[tyro.conf.Positional[str], arg(metavar="VIDEOS", help=VIDEOS)]
Preset = Annotated[
    str,
    arg(
        metavar="NAME",
        help="Settings of a published method (seqff config list).",
        constructor=Literal[tuple(PRESETS)],
    ),
]
Device = Annotated[Literal["auto", "cpu", "cuda"], arg(help="Device to compute on; auto uses CUDA if available.")]
LAYER = (
    "Name of an array, such as layer2, untrained/layer2 or pixels, or index of a layer (0 is the first, -1 the last); "
    "by default the last of the trained net."
)
Layer = Annotated[str | None, arg(help=LAYER)]
GROUPS = (
    "Groups that a split must not divide: 'folder' (the innermost folder), a CSV file with the columns video,group, or "
    "a regular expression for the file name, whose capture group named `group` (else its first) is the group. By "
    "default every video is its own group."
)
Groups = Annotated[str | None, arg(help=GROUPS)]
SPLITS = (
    "CSV file of official splits instead of folds: columns video,split or video,split1,split2,..., values train, test "
    "or unused."
)
Splits = Annotated[Path | None, arg(help=SPLITS)]
MaxBad = Annotated[float, arg(help="Fail if more than this share of the videos cannot be read.")]
Progress = Annotated[bool, arg(help="Show progress. --quiet is short for --no-progress.")]
Json = Annotated[bool, arg(help="Print JSON instead.")]


def parse(module: ModuleType, command: str, arguments: Sequence[str]) -> Any:
    """Parse a command's arguments, or print its help and exit.

    Args:
        module: module of the command, with its dataclass `Options`, whose docstrings are the help text, and optionally
            `EVERYDAY`, the arguments shown by `--help` if there are too many for a screen.
        command: its name.
        arguments: the words after it.
    """
    everyday, given, rest = getattr(module, "EVERYDAY", ()), _defaults(module.Options, arguments), list(arguments)
    for place, argument in enumerate(rest):
        if argument == "--quiet":
            rest[place] = "--no-progress"
        elif argument == "--help-all":
            rest = ["--help"]
        elif argument in ("-h", "--help") and everyday:
            group = next((word for word in rest[place + 1 :] if not word.startswith("-")), None)
            print(
                group_help(module.Options, group, given)
                if group
                else everyday_help(command, module.Options, everyday, given)
            )
            raise SystemExit(0)
    _check_short(module.Options, rest)
    return tyro.cli(
        module.Options,
        prog=f"seqff {command}",
        description=getattr(module, "HELP", None),
        args=rest,
        default=tyro.MISSING_NONPROP if given is None else given,
        config=(tyro.conf.HelptextFromCommentsOff,),
        registry=RULES,
    )


def _check_short(kind: Any, arguments: Sequence[str]) -> None:
    """Raise ValueError for a flag with a single dash, except -h."""
    known = [one.name.replace("_", "-") for part in options_in(kind) for one in walk(part) if not one.positional]
    for argument in arguments:
        word = argument.lstrip("-").partition("=")[0]
        if argument == "--":
            return
        if argument[:1] != "-" or argument[1:2] == "-" or not word[:1].isalpha() or argument in ("-h", "-inf", "-nan"):
            continue
        close = [name for name in known if name == word] or [name for name in known if name.startswith(word)]
        close = close or difflib.get_close_matches(word, known, n=1)
        guess = f"did you mean {' or '.join(f'--{name}' for name in close[:_MOST_NAMED])}?" if close else "see --help"
        raise ValueError(f"no flag {argument}; {guess}")


def options_in(kind: Any) -> tuple[type, ...]:
    """Return the dataclasses of a command's arguments: one, or one per action (`seqff config show`)."""
    return tuple(get_args(one)[0] for one in get_args(kind)) or (kind,)


def _defaults(kind: Any, arguments: Sequence[str]) -> Any:
    """Return the defaults of the other flags, from --preset and then --config."""
    preset, file = _find("--preset", arguments), _find("--config", arguments)
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    if all(field.name != "settings" for field in fields) or (preset is None and file is None):
        return None
    required = [field.name for field in fields if field.default is field.default_factory is dataclasses.MISSING]
    return kind(**dict.fromkeys(required, tyro.MISSING), settings=load_settings(file, preset or "default"))


def _find(flag: str, arguments: Sequence[str]) -> str | None:
    """Find a flag's value before parsing."""
    for place, argument in enumerate(arguments):
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
        if argument == flag and place + 1 < len(arguments):
            return arguments[place + 1]
    return None


def call_arguments(options: Any) -> dict[str, Any]:
    """Convert a command's arguments to those of the public function of the same name."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options) if field.name != "json"}
    if values.get("layer") is not None:
        values["layer"] = _layer(values["layer"])
    if "layers" in values:
        values["layers"] = [_layer(word) for word in values["layers"]]
    if "settings" in values:  # made from preset, config and flags
        values |= {"config": values.pop("settings"), "preset": "default"}
    return values


def _layer(word: str) -> int | str:
    """Return the index of a layer, or its name."""
    return int(word) if word.lstrip("-").isdecimal() else word


def speaks() -> bool:
    """Whether this process prints; of those started by torchrun, only rank 0 does."""
    return os.environ.get("RANK", "0") == "0"


def print_json(content: Any) -> None:
    """Print strict JSON on standard output."""
    text = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
        plain = not holds_escapes(text)
    except UnicodeEncodeError:  # a name or the terminal is not UTF-8
        plain = False
    print(text if plain else json.dumps(content, indent=1, allow_nan=False))


def show_result(found: Any, *, as_json: bool, written: Path | None = None, then: Sequence[str] = ()) -> None:
    """Print a result as JSON, or its table, the path written, and further lines."""
    if as_json:
        print_json(found.to_dict())
        return
    show(found.table(), *([f"written: {written}"] if written else []), *then)


def show(*lines: str) -> None:
    """Print lines on standard output, with control characters in names escaped."""
    print("\n".join(map(visible, lines)))
