"""`seqff config`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from seqff.cli.arguments import parse, print_json, show
from seqff.config import TrainConfig
from seqff.config_io import dump_yaml, load_config, load_preset, suggest, to_dict
from seqff.presets import PRESETS
from seqff.terminal import Lines

CONFIG = "config.yaml"
HELP = """\
usage: seqff config list | show [RUN] [--preset NAME] | check FILE

Look at settings of trainings, and check files of them.

Reads:  config.yaml of a run folder, or a YAML file of settings.

Writes: nothing.

actions:
  list   the presets, with a line and the source of each
  show   all settings as YAML: the defaults, a preset's, a run's or a file's
  check  say whether a YAML file holds settings, and what it changes; exit code 1 if it does not

Example: seqff config show --preset infonce > mine.yaml
         seqff config check mine.yaml
         seqff train videos/ --out RUN --config mine.yaml"""


@dataclass(frozen=True)
class ListOptions:
    """List the presets (`seqff train --preset NAME`): what each is, and where it is published.

    Example: seqff config list
    """

    json: Annotated[bool, tyro.conf.arg(help="Print them as JSON.")] = False


@dataclass(frozen=True)
class ShowOptions:
    """Print all settings as YAML: the defaults, a preset's, a run's, or the defaults with a file laid over them.

    What it prints can be given back to `seqff train --config FILE`.

    Example: seqff config show runs/first
    """

    source: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Run folder, or a YAML file; without one the defaults."""
    preset: str | None = None
    """Settings of a published method, below those of the file."""
    json: Annotated[bool, tyro.conf.arg(help="Print them as JSON.")] = False


@dataclass(frozen=True)
class CheckOptions:
    """Say whether a YAML file holds settings of a training, and what they change; exit code 1 if it does not.

    Names, types and choices are checked here; whether numbers fit each other and the videos, `seqff train --dry-run`
    finds out.

    Example: seqff config check mine.yaml
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """YAML file, or a run folder."""
    preset: str | None = None
    """Preset that the file is laid over."""
    json: Annotated[bool, tyro.conf.arg(help="Print what it changes as JSON.")] = False


def run(arguments: Sequence[str]) -> int:
    """Do what the first argument says."""
    actions = {"list": _list, "show": _show, "check": _check}
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in actions:
        raise SystemExit(_wrong(name, actions))
    actions[name](rest)
    return 0


def _wrong(name: str, actions: dict[str, Any]) -> int:
    print(f"seqff config: no action {name!r}; {suggest(name, actions)}", file=sys.stderr)
    return 2


def _list(arguments: Sequence[str]) -> None:
    options = parse(ListOptions, "config list", arguments)
    if options.json:
        print_json({name: {"text": preset.text, "source": preset.reference} for name, preset in PRESETS.items()})
        return
    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        show(f"{name:<{width}}  {preset.text}", f"{'':<{width}}    {preset.reference}")
    show("next: seqff config show --preset NAME")


def _show(arguments: Sequence[str]) -> None:
    options = parse(ShowOptions, "config show", arguments)
    settings = to_dict(_settings(options.source, options.preset))
    print_json(settings) if options.json else show(Lines(dump_yaml(settings).rstrip("\n")))


def _check(arguments: Sequence[str]) -> None:
    options = parse(CheckOptions, "config check", arguments)
    plain = flat(to_dict(load_preset(options.preset or "default")))
    found = flat(to_dict(_settings(options.file, options.preset)))
    changed = {name: value for name, value in found.items() if value != plain[name]}
    if options.json:
        print_json({"file": str(options.file), "changed": changed})
        return
    base = "the defaults" if options.preset is None else f"preset {options.preset}"
    show(f"{options.file}: good; {len(changed)} settings differ from {base}")
    for name, value in changed.items():
        show(f"  {name}: {value} (else {plain[name]})")
    show(f"next: seqff train VIDEOS --out RUN --config {_file(options.file)} --dry-run")


def _settings(source: Path | None, preset: str | None) -> TrainConfig:
    base = load_preset(preset or "default")
    return base if source is None else load_config(_file(source), base)


def _file(source: Path) -> Path:
    return source / CONFIG if source.is_dir() else source


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
