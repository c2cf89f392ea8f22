"""`seqff completion`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from seqff.cli import COMMANDS
from seqff.cli.rules import RULES

FILES = {
    "bash": """\
_seqff() { _tyro_seqff; [ -n "${COMPREPLY[*]}" ] || COMPREPLY=(); }
complete -o default -F _seqff seqff""",
    "zsh": "_files",
    "fish": "complete --command seqff --force-files",
}
"""Additions to tyro's scripts: completion of file names where there are no other candidates."""


@dataclass(frozen=True)
class Options:
    """Print a script that lets a shell complete commands, flags and their choices.

    Reads:  nothing.

    Writes: nothing; the script goes to standard output. To load it in every new shell:

            bash  seqff completion bash > ~/.local/share/bash-completion/completions/seqff

            zsh   seqff completion zsh > ~/.zfunc/_seqff   (with fpath+=~/.zfunc before compinit)

            fish  seqff completion fish > ~/.config/fish/completions/seqff.fish

    Example: seqff completion bash
    """

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh", "fish"]], tyro.conf.arg(metavar="bash|zsh|fish")]
    """The shell."""


def run(options: Options) -> None:
    """Print the script, which tyro generates."""
    commands = {name: importlib.import_module(f"seqff.cli.{name}").Options for name in COMMANDS}
    script = ["--tyro-write-completion", options.shell, "-"]
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="seqff", args=script, registry=RULES)
    finally:  # tyro exits
        print(FILES[options.shell])
