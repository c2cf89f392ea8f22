"""`seqff config`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqff.cli.arguments import Json, Preset, print_json, show
from seqff.config_io import config_file, dump_yaml, flat, load_settings, to_dict
from seqff.presets import PRESETS
from seqff.terminal import Lines

HELP = """\
Look at settings of trainings, and check files of them.

Reads:  config.yaml of a run folder, or a YAML file of settings.

Writes: nothing.

Example: seqff config show --preset infonce > mine.yaml
         seqff config check mine.yaml
         seqff train videos/ --out RUN --config mine.yaml"""


@dataclass(frozen=True)
class ListOptions:
    """List the presets (`seqff train --preset NAME`): what each is, and where it is published.

    Example: seqff config list
    """

    json: Json = False


@dataclass(frozen=True)
class ShowOptions:
    """Print all settings as YAML: the defaults, a preset's, a run's, or the defaults with a file laid over them.

    What it prints can be given back to `seqff train --config FILE`.

    Example: seqff config show runs/first
    """

    source: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Run folder, or a YAML file; without one the defaults."""
    preset: Preset = "default"
    json: Json = False


@dataclass(frozen=True)
class CheckOptions:
    """Say whether a YAML file holds settings of a training, and what they change; exit code 1 if it does not.

    Names, types and choices are checked here; whether numbers fit each other and the videos, `seqff train --dry-run`
    finds out.

    Example: seqff config check mine.yaml
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """YAML file, or a run folder."""
    preset: Preset = "default"
    json: Json = False


Options = (
    Annotated[ListOptions, tyro.conf.subcommand("list", description="The presets, with a line and the source of each.")]
    | Annotated[
        ShowOptions, tyro.conf.subcommand("show", description="All settings as YAML: defaults, a preset, a run.")
    ]
    | Annotated[CheckOptions, tyro.conf.subcommand("check", description="Whether a YAML file holds settings.")]
)


def run(options: ListOptions | ShowOptions | CheckOptions) -> None:
    """Do what the first argument says."""
    if isinstance(options, ListOptions):
        _list(options)
    elif isinstance(options, ShowOptions):
        settings = to_dict(load_settings(options.source, options.preset))
        print_json(settings) if options.json else show(Lines(dump_yaml(settings).rstrip("\n")))
    else:
        _check(options)


def _list(options: ListOptions) -> None:
    if options.json:
        print_json({name: {"text": preset.text, "source": preset.reference} for name, preset in PRESETS.items()})
        return
    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        show(f"{name:<{width}}  {preset.text}", f"{'':<{width}}    {preset.reference}")
    show("next: seqff config show --preset NAME")


def _check(options: CheckOptions) -> None:
    plain = flat(to_dict(load_settings(None, options.preset)))
    found = flat(to_dict(load_settings(options.file, options.preset)))
    changed = {name: value for name, value in found.items() if value != plain[name]}
    if options.json:
        print_json({"file": str(options.file), "changed": changed})
        return
    base = "the defaults" if options.preset == "default" else f"preset {options.preset}"
    show(f"{options.file}: good; {len(changed)} settings differ from {base}")
    for name, value in changed.items():
        show(f"  {name}: {value} (else {plain[name]})")
    show(f"next: seqff train VIDEOS --out RUN --config {config_file(options.file)} --dry-run")
