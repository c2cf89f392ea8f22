"""TensorBoard and Weights & Biases get the metrics of metrics.jsonl under the same names."""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from helpers.full_disk import small_files
from helpers.processes import together
from helpers.small_runs import CONFIG

from seqff.cli import main
from seqff.config_io import dump_yaml, to_dict
from seqff.errors import WriteError
from seqff.metrics import METRICS, read_metrics
from seqff.train import train
from seqff.training.callbacks import metrics as loggers
from seqff.training.callbacks.progress import fold

SHORT = dataclasses.replace(CONFIG, steps=12, checkpoint_every=6)


def numbers(run: Path) -> list[tuple[int, dict[str, float]]]:
    """Return the content of metrics.jsonl: steps and their metrics."""
    return [(line["step"], loggers.metrics_of(line)) for line in read_metrics(run / METRICS)]


def test_tensorboard_reads_the_same_figures(manifest: Path, tmp_path: Path) -> None:
    """Every metric of every line is in the event files exactly once, also after stopping and resuming."""
    pytest.importorskip("tensorboard", reason="needs pip install -e '.[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config, run = dataclasses.replace(SHORT, loggers=("tensorboard",)), tmp_path / "run"
    train(manifest, out=run, config=config, progress=False)
    (run / "checkpoints" / "step_00000012").rename(tmp_path / "gone")  # as if killed before the last checkpoint
    train(manifest, out=run, config=config, resume=True, progress=False)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    expected: dict[str, list[tuple[int, float]]] = {}
    for step, figures in numbers(run):
        for name, value in figures.items():
            expected.setdefault(name, []).append((step, value))
    assert set(events.Tags()["scalars"]) == set(expected)
    for name, points in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in points], name


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's own thread
@pytest.mark.parametrize("limit", [0, 300])
def test_a_full_disk_is_said_of_event_files(tmp_path: Path, limit: int) -> None:
    """If the disk is full from the start or later, an error names the folder of the event files, without hanging."""
    pytest.importorskip("tensorboard", reason="needs pip install -e '.[tensorboard]'")

    def log() -> None:
        logger = loggers.TensorBoardLogger(tmp_path, step=0)
        for step in range(100):
            logger.write({"step": step, "layer1/loss": 1.0})

    before = threading.enumerate()
    with small_files(limit), pytest.raises(WriteError, match=r"tensorboard cannot be written: File too large.*raise"):
        log()
    for thread in {*threading.enumerate()} - {*before}:
        thread.join(60)  # it also ends with the error; wait for it here, not in the next test


class StandIn(ModuleType):
    """A fake of the used parts of wandb, which records its input."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None)
        self.started: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished = 0

    def init(self, **given: Any) -> Any:
        """Start a run."""
        self.started.append(given)

        def finish() -> None:
            self.finished += 1

        def log(figures: dict[str, float], step: int) -> None:
            self.logged.append((step, figures))

        return SimpleNamespace(log=log, finish=finish, alert=lambda **_: None)


def test_wandb_gets_the_same_figures_under_one_id(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wandb gets the run's name and settings; a resumed run keeps its id, and each part is finished."""
    wandb = StandIn()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    config, run = dataclasses.replace(SHORT, loggers=("wandb",)), tmp_path / "my_run"
    train(manifest, out=run, config=config, progress=False)
    assert wandb.logged == numbers(run)
    (run / "checkpoints" / "step_00000012").rename(tmp_path / "gone")
    train(manifest, out=run, config=config, resume=True, progress=False)
    assert wandb.logged[-len(numbers(run)) :][-1] == numbers(run)[-1]
    first, second = wandb.started
    assert first["id"] == second["id"]
    assert (first["name"], first["config"]["steps"], first["project"]) == ("my_run", 12, "seqff")
    assert wandb.finished == 2


def starts(manifest: Path, run: Path, config: Any) -> int:
    """Train as one of several processes, and return how many loggers this one started."""
    wandb = StandIn()
    sys.modules["wandb"] = wandb
    train(manifest, out=run, config=config, progress=False)
    return len(wandb.started)


def test_only_the_first_process_logs(manifest: Path, tmp_path: Path) -> None:
    """Only one of two processes starts the logger."""
    config = dataclasses.replace(SHORT, loggers=("wandb",))
    assert together(2, starts, manifest, tmp_path / "run", config) == [1, 0]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_one_line_before_anything_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the package and how to install it, and no run folder is left."""
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), "--loggers", name]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{name} is not installed: pip install 'seqff[{name}]'" in line
    assert not (tmp_path / "run").exists()


def test_the_bar_folds_many_layers() -> None:
    """A few losses are listed bottom to top; of many the mean and range, on one line."""
    assert fold([0.5, 0.25]) == "0.50 0.25"
    assert fold([0.1] * 9 + [1.1]) == "0.20 (0.10 to 1.10 in 10 layers)"


def test_off_a_terminal_a_training_says_lines(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command to watch, progress with losses and time left, and the end; nothing with `--quiet`."""
    (tmp_path / "short.yaml").write_text(dump_yaml(to_dict(SHORT)))
    quiet = ["--config", str(tmp_path / "short.yaml"), "--out", str(tmp_path / "silent"), "--quiet"]
    assert main(["train", str(manifest), *quiet]) == 0
    assert capsys.readouterr().err == ""
    train(manifest, out=tmp_path / "run", config=SHORT, progress=True)
    said = capsys.readouterr().err
    assert said.count(f"seqff watch {tmp_path / 'run'}") == 1
    assert re.findall(r"step (\d+) of 12: loss \d.* frames/s, \d\d:\d\d left", said) == ["1", "12"]
