"""metrics.jsonl and metrics.csv agree, whatever interrupts a training."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

from helpers.small_runs import CONFIG

from seqff.metrics import METRICS, TABLE, MetricsLog, read_metrics
from seqff.train import train

LINES: list[dict[str, Any]] = [
    {"step": 1, "lr": 0.1, "layer1/loss": 1 / 3},
    {"step": 10, "lr": 0.2, "layer1/loss": 1e-17, "alarms": ['layer1 says, "so"', "twice"]},
    {"step": 20, "lr": 0.3, "layer2/loss": 5.0},
]


def table(run: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the cells that are empty."""
    with (run / TABLE).open(newline="", encoding="utf-8") as file:
        return [{name: cell for name, cell in row.items() if cell} for row in csv.DictReader(file)]


def said(line: dict[str, Any]) -> dict[str, str]:
    """A line as the table has it."""
    return {name: " | ".join(value) if isinstance(value, list) else repr(value) for name, value in line.items()}


def write(run: Path, lines: list[dict[str, Any]], *, step: int = 0) -> None:
    """Note some lines, as a training does that goes on from a step."""
    log = MetricsLog(run, step=step)
    for line in lines:
        log.write(line)


def test_the_table_says_what_the_lines_say(tmp_path: Path) -> None:
    """One row a line and one column a figure, to the last digit; what comes up later gets a further column."""
    write(tmp_path, LINES)
    assert read_metrics(tmp_path / METRICS) == LINES
    assert table(tmp_path) == [said(line) for line in LINES]
    header = (tmp_path / TABLE).read_text(encoding="utf-8").splitlines()[0]
    assert header == "step,lr,layer1/loss,alarms,layer2/loss"


def test_a_resumed_run_loses_and_doubles_no_row(tmp_path: Path) -> None:
    """Lines after the checkpoint are taken back from both; then both files are those of a run nothing stopped."""
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    whole.mkdir()
    resumed.mkdir()
    write(whole, LINES)
    write(resumed, [*LINES[:2], {"step": 15, "layer9/loss": 1.0}])
    with (resumed / METRICS).open("a", encoding="utf-8") as file:
        file.write('{"step": 18, "la')  # a kill cuts both files short
    with (resumed / TABLE).open("a", encoding="utf-8") as file:
        file.write("18,0.")
    write(resumed, LINES[2:], step=10)
    for name in (METRICS, TABLE):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_a_training_writes_both(manifest: Path, tmp_path: Path) -> None:
    """A run folder has the table beside the lines, from the first logged step to the last."""
    run = train(manifest, out=tmp_path / "run", config=dataclasses.replace(CONFIG, steps=12), progress=False).path
    lines = read_metrics(run / METRICS)
    assert lines[-1]["step"] == 12
    assert table(run) == [said(line) for line in lines]
