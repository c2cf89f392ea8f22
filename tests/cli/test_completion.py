"""`seqff completion`: shells complete commands, flags and choices."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqff.cli import COMMANDS, main
from seqff.cli.flags import flags_of

BASH = 'COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _seqff; printf "%s\\n" "${{COMPREPLY[@]}}"'
ZSH = """\
compdef() {{ :; }}
compadd() {{ shift; for each in "$@"; do case "$each" in "$PREFIX"*) print -r -- "$each";; esac; done; }}
_describe() {{ for each in "${{(@P)2}}"; do compadd -- "${{each%%:*}}"; done; }}
_files() {{ :; }}
source {script}
words=({words}); CURRENT=$#words; PREFIX="$words[CURRENT]"; _seqff
"""


def complete(shell: str, line: str, script: Path) -> set[str]:
    """What a shell offers for the last word of a line."""
    words = " ".join(f'"{word}"' for word in line.split(" "))
    if shell == "bash":
        code = f"source {script}; {BASH.format(words=words)}"
    elif shell == "zsh":
        code = ZSH.format(script=script, words=words)
    else:
        code = f"source {script}; complete -C '{line}'"
    options = {"bash": ["--norc", "-c"], "zsh": ["-f", "-c"], "fish": ["--no-config", "-c"]}[shell]
    done = subprocess.run([shell, *options, code], capture_output=True, text=True, check=True)
    return {offer.split("\t")[0] for offer in done.stdout.splitlines() if offer}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands by their first letters, flags of that command, choices of that flag, actions of config."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert complete(shell, "seqff tr", script) == {"train"}
    assert complete(shell, "seqff train --pairs.ga", script) == {"--pairs.gap"}
    assert complete(shell, "seqff train --device ", script) >= {"auto", "cpu", "cuda"}
    assert complete(shell, "seqff train --preset forw", script) == {"forward-forward"}
    assert complete(shell, "seqff config sh", script) == {"show"}
    assert "--pairs.gap" not in complete(shell, "seqff scan --p", script)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("config",)])
def test_flags_are_those_of_the_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each flag that --help lists is offered, and none else."""
    assert main([name, "--help"]) == 0
    listed = set(re.findall(r"(?:^│ |, |^  )(--[a-z][\w.-]*)", capsys.readouterr().out, flags=re.MULTILINE))
    assert {flag.name for flag in flags_of(name)} - {"--debug"} == listed | {"--help"}


def test_the_script_is_made_without_torch() -> None:
    """A new shell does not wait for it."""
    code = "import sys; from seqff.cli import main; main(['completion', 'bash']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
