"""The benchmarks over seeds never pass results of other settings off as those asked for."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from small_runs import CONFIG

from seqff.config import TrainConfig

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ASKED = {"videos": str(Path("videos").resolve()), "labels": "folder", "groups": None}


@pytest.fixture
def quality(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module; what it shares with others lies beside it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("quality")


@pytest.fixture
def seeds(quality: ModuleType) -> ModuleType:
    """The script as a module, which `quality` made importable."""
    return importlib.import_module("seeds")


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


@pytest.mark.parametrize("folds", [0, 2])
def test_a_set_goes_the_whole_way(quality: ModuleType, clips: Path, tmp_path: Path, folds: int) -> None:
    """Encoders that see all videos, and encoders that do not; a second call reads, other settings are refused."""
    videos = quality.VideoSet(clips, unseen_folds=folds)
    config = replace(CONFIG, steps=2)
    out = tmp_path / "set" / "default"
    found = quality.one_run(videos, config, 5, out)
    assert (found["seed"], found["steps"]) == (5, 2)
    assert set(found["rows"]) >= {"layer1", "layer2", "best"}
    (finished,) = out.glob("quality_*.json")
    finished.write_text(json.dumps({"seed": 5, "read": "again"}))
    assert quality.one_run(videos, config, 5, out) == {"seed": 5, "read": "again"}
    with pytest.raises(SystemExit, match=r"default_asked_5\.json"):
        quality.one_run(videos, replace(config, steps=3), 5, out)
