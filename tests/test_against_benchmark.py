"""The benchmark that compares two checkouts: each runs its own code, and differing bits are detected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import against

STAND_IN = """
import sys
from pathlib import Path
out = Path(sys.argv[sys.argv.index("--out") + 1])
if sys.argv[1] == "scan":
    out.write_text("{}")
else:
    out.mkdir()
    (out / ("encoder.safetensors" if sys.argv[1] == "train" else "layer1.npy")).write_text(BITS)
"""


def stand_in(folder: Path, bits: str) -> Path:
    """A checkout whose commands write these bits, as a whole one takes minutes."""
    (folder / "seqff").mkdir(parents=True)
    (folder / "seqff" / "__main__.py").write_text(STAND_IN.replace("BITS", repr(bits)))
    return folder


@pytest.mark.parametrize(("bits", "word"), [("1", "yes"), ("2", "NO")])
def test_other_bits_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], bits: str, word: str) -> None:
    """Every figure is there for both checkouts, and weights and features are compared."""
    here, other = stand_in(tmp_path / "here", "1"), stand_in(tmp_path / "other", bits)
    asked = [str(other), str(tmp_path), "--here", str(here), "--repeats", "2", "--at-most", "inf", "--json"]
    against.main([*asked, str(tmp_path / "a.json")])
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [what.partition(",")[0] for what in rows] == [
        *("scan", "training", "extraction", "training step", "memory of a training")
    ]
    assert all(row["here"] >= 0 and row["other"] >= 0 for what, row in rows.items() if what != "training step, CPU ms")
    assert capsys.readouterr().out.count(f"the same to the bit: {word}") == 2


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    """The error says which command it was, and its last words."""
    here, other = stand_in(tmp_path / "here", "1"), tmp_path / "other"
    (other / "seqff").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"seqff scan .* failed"):
        against.main([str(other), str(tmp_path), "--here", str(here), "--repeats", "1"])


def test_a_folder_without_seqff_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing runs where the other checkout is none."""
    with pytest.raises(SystemExit):
        against.main([str(tmp_path)])
    assert "no checkout of seqff" in capsys.readouterr().err
