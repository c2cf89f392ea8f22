"""The benchmarks over seeds never pass results of other settings off as those asked for."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from seqff.config import TrainConfig

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "seeds.py"
ASKED = {"videos": str(Path("videos").resolve()), "labels": "folder", "groups": None}


@pytest.fixture
def seeds() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("seeds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_finished_results_are_read_again(seeds: ModuleType, tmp_path: Path) -> None:
    """The same settings find what lies there, without any video."""
    seeds.claim(tmp_path / "seed3" / "asked.json", TrainConfig(), **ASKED)
    (tmp_path / "seed3" / "result.json").write_text(json.dumps({"seed": 3}))
    assert seeds.one_seed(TrainConfig(), 3, out=tmp_path, **ASKED) == {"seed": 3}


@pytest.mark.parametrize("change", ["settings", "videos"])
def test_results_of_others_are_refused(seeds: ModuleType, tmp_path: Path, change: str) -> None:
    """Other settings, or other videos, end the program by name of the folder, and change nothing there."""
    seeds.claim(tmp_path / "seed3" / "asked.json", TrainConfig(), **ASKED)
    (tmp_path / "seed3" / "result.json").write_text(json.dumps({"seed": 3}))
    before = (tmp_path / "seed3" / "asked.json").read_text()
    config = replace(TrainConfig(), steps=7) if change == "settings" else TrainConfig()
    asked = ASKED | {"videos": "others"} if change == "videos" else ASKED
    with pytest.raises(SystemExit, match="seed3 holds results of other settings"):
        seeds.one_seed(config, 3, out=tmp_path, **asked)
    assert (tmp_path / "seed3" / "asked.json").read_text() == before
