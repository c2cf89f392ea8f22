"""`seqff completion`: shells complete commands, flags and choices."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqff.cli import main

ASK = {
    "bash": """\
source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1))
[[ "$(complete -p seqff)" =~ "-o default -F "(.*)" seqff" ]]; ${{BASH_REMATCH[1]}}; printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    "fish": "source {script}; complete -C '{line}'",
}
OPTIONS = {"bash": ["--norc", "-c"], "fish": ["--no-config", "-c"]}


def offers(shell: str, line: str, script: Path) -> set[str]:
    """What a shell offers for the last word of a line."""
    words = " ".join(f'"{word}"' for word in line.split(" "))
    code = ASK[shell].format(script=script, words=words, line=line)
    done = subprocess.run([shell, *OPTIONS[shell], code], capture_output=True, text=True, check=True)
    return {offer.split("\t")[0].strip() for offer in done.stdout.splitlines() if offer}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands by their first letters, flags of that command, choices of that flag, actions of config."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert offers(shell, "seqff tr", script) == {"train"}
    assert {"--pairs.gap", "--pairs.far"} <= offers(shell, "seqff train --pairs.", script)
    assert offers(shell, "seqff train --device ", script) >= {"auto", "cpu", "cuda"}
    assert offers(shell, "seqff train --preset forw", script) == {"forward-forward"}
    assert offers(shell, "seqff config sh", script) == {"show"}
    assert "--pairs.gap" not in offers(shell, "seqff scan --p", script)
    (tmp_path / "videos").mkdir()
    found = offers(shell, f"seqff train {tmp_path}/vid", script)
    assert found == ({f"{tmp_path}/videos/"} if shell == "fish" else set()), "bash itself then offers files"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_made_without_torch_and_parses(shell: str, tmp_path: Path) -> None:
    """Whoever installs it does not wait, and the shell reads it without complaint."""
    script = tmp_path / "script"
    code = f"import sys; from seqff.cli import main; main(['completion', {shell!r}]); sys.exit('torch' in sys.modules)"
    with script.open("w") as file:
        assert subprocess.run([sys.executable, "-c", code], check=False, stdout=file).returncode == 0
    if shutil.which(shell) is not None:
        assert subprocess.run([shell, "-n", str(script)], check=False).returncode == 0
