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
    """List the presets (`seqff train --preset NAME`), with a description and the publication of each.

    Example: seqff config list
    """

    json: Json = False


@dataclass(frozen=True)
class ShowOptions:
    """Print all settings as YAML: the defaults, those of a preset or a run, or the defaults updated by a file.

    The output can be used with `seqff train --config FILE`.

    Example: seqff config show runs/first
    """

    source: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Run folder or YAML file; by default, the defaults are shown."""
    preset: Preset = "default"
    json: Json = False


@dataclass(frozen=True)
class CheckOptions:
    """Check that a YAML file contains valid settings, and show what they change; exit code 1 if not.

    This checks names, types and choices; `seqff train --dry-run` also checks that numbers fit each other and the
    videos.

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
    """Run the action given by the first argument."""
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
