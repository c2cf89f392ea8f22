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
"""What tyro's scripts lack: file names where there is nothing else to offer."""


@dataclass(frozen=True)
class Options:
    """Print the script that lets a shell complete commands, flags and their choices.

    Reads:  nothing.

    Writes: nothing; the script goes to standard output. Have it read by every new shell:

            bash  seqff completion bash > ~/.local/share/bash-completion/completions/seqff

            zsh   seqff completion zsh > ~/.zfunc/_seqff   (with fpath+=~/.zfunc before compinit)

            fish  seqff completion fish > ~/.config/fish/completions/seqff.fish

    Example: seqff completion bash
    """

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh", "fish"]], tyro.conf.arg(metavar="bash|zsh|fish")]
    """Which shell."""


def run(options: Options) -> None:
    """Print the script, which tyro makes."""
    commands = {name: importlib.import_module(f"seqff.cli.{name}").Options for name in COMMANDS}
    script = ["--tyro-write-completion", options.shell, "-"]
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="seqff", args=script, registry=RULES)
    finally:  # tyro exits
        print(FILES[options.shell])
