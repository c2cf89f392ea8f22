"""tools/linear_probe.py extracts and probes in one step."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools/linear_probe.py"


def test_from_run_and_videos_to_the_table(
    run: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints a line a layer, keeps features for the next time, and refuses to replace results unasked."""
    main = runpy.run_path(str(TOOL))["main"]
    arguments = [str(run), str(clips), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(arguments) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:5]] == ["layer1", "layer2", "pixels"]
    stamp = (tmp_path / "out/features/meta.json").stat().st_mtime_ns
    assert main(arguments) == 1
    assert "probe exists; overwrite" in capsys.readouterr().err
    assert (tmp_path / "out/features/meta.json").stat().st_mtime_ns == stamp
    assert main([*arguments, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "v1"
