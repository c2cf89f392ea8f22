"""`seqff completion`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from seqff.cli import COMMANDS, shells
from seqff.cli.arguments import parse
from seqff.cli.flags import flags_of

ACTIONS = {"config": ("list", "show", "check"), "completion": ("bash", "zsh", "fish")}


@dataclass(frozen=True)
class CompletionOptions:
    """Print the script that lets a shell complete commands, flags and their choices.

    Reads:  nothing.

    Writes: nothing; the script goes to standard output. Have it read by every new shell:

            bash  echo 'eval "$(seqff completion bash)"' >> ~/.bashrc

            zsh   echo 'eval "$(seqff completion zsh)"' >> ~/.zshrc   (after compinit)

            fish  seqff completion fish > ~/.config/fish/completions/seqff.fish

    Example: seqff completion bash
    """

    shell: Annotated[tyro.conf.Positional[Literal["bash", "zsh", "fish"]], tyro.conf.arg(metavar="bash|zsh|fish")]
    """Which shell."""


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments, print the script."""
    options = parse(CompletionOptions, "completion", arguments)
    commands = {name: (text, ACTIONS.get(name, ()), flags_of(name)) for name, text in COMMANDS.items()}
    write = {"bash": shells.bash, "zsh": shells.zsh, "fish": shells.fish}[options.shell]
    print(write(commands), end="")
