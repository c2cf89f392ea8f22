"""Alarms describe what is wrong with a layer, and stay silent otherwise."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
from helpers.small_runs import WATCHED, metrics

import seqff
from seqff.cli import main
from seqff.config import TrainConfig
from seqff.config_io import dump_yaml, to_dict
from seqff.errors import SeqffError
from seqff.train import train
from seqff.training.callbacks.alarms import Alarms
from seqff.training.checkpoint import list_checkpoints

BARE = {"tolerance": 0.0, "negative_weight": 0.0}


def changed(**objective: Any) -> TrainConfig:
    """Return WATCHED with other settings of the objective."""
    return dataclasses.replace(WATCHED, objective=dataclasses.replace(WATCHED.objective, **objective))


def said(run: Path) -> str:
    """Return all alarms of a run."""
    return "\n".join(text for line in metrics(run) for text in line.get("alarms", []))


def line(step: int, **figures: float) -> dict[str, Any]:
    """Return a line of metrics.jsonl for a healthy layer, with some changed metrics."""
    good = {"effective_rank": 5, "dead_units": 0.02, "spread_same_video": 0.5, "spread_other_video": 1.0}
    usual = {f"untrained_{name}": value for name, value in good.items()} | good
    hinge = {"loss": 0.3, "within_tolerance": 0.7, "tolerance": 0.1, "positive_median": 0.05, "positive_largest": 0.4}
    hinge |= {"same_video_distance": 4.0, "other_video_distance": 8.0}
    return {"step": step, **{f"layer3/{name}": value for name, value in {**usual, **hinge, **figures}.items()}}


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        ({"spread_other_video": 0.002, "spread_same_video": 0.001, "loss": 0.01}, "maps everything to one point: fr"),
        ({"spread_other_video": 0.002, "spread_same_video": 0.001}, ""),  # the loss will push it apart again
        ({"spread_other_video": 1.6, "spread_same_video": 0.02, "loss": 0.01}, ""),  # slow, but it distinguishes videos
        ({"spread_other_video": 0.1, "spread_same_video": 0.5, "loss": 0.01}, ""),  # it tells frames apart, not videos
        ({"other_video_distance": 0.2, "same_video_distance": 0.1, "loss": 0.01}, "maps everything to one point: fr"),
        ({"dead_units": 0.83}, "is dying: 83% of its channels are dead"),
        ({"dead_units": 0.83, "untrained_dead_units": 0.8}, ""),  # the copy is just as dead: the input is uninformative
        ({"dead_units": 0.3}, ""),
        ({}, ""),
    ],
)
def test_each_alarm_has_its_case_and_its_silence(figures: dict[str, float], sentence: str) -> None:
    """The alarm names the layer and is raised once; in the similar healthy case there is none."""
    alarms = Alarms(warmup=5)
    assert alarms.hear(line(1)) == []
    found = alarms.hear(line(25, **figures))
    expected = f"layer3 {sentence}"
    assert [alarm.text[: len(expected)] for alarm in found] == ([expected] if sentence else [])
    assert all(alarm.collapse for alarm in found)
    assert alarms.hear(line(50, **figures)) == []


def test_more_channels_are_dead_than_may_die() -> None:
    """Whether the same layer is dying depends on the allowed share."""
    for may_die, count in ((0.1, 1), (0.4, 0)):
        alarms = Alarms(warmup=5, may_die=may_die)
        alarms.hear(line(1))
        assert len(alarms.hear(line(25, dead_units=0.25))) == count


def test_a_layer_that_stays_at_one_point_is_said_whatever_its_loss() -> None:
    """Brief small distances are not a collapse; persistent ones are, reported once; a recovery restarts the count."""
    narrow = {"spread_other_video": 0.02, "spread_same_video": 0.01}
    said_at = []
    for wide in ((1,), (1, 75)):
        alarms = Alarms(warmup=5)
        heard = {step: alarms.hear(line(step, **({} if step in wide else narrow))) for step in (1, *range(25, 501, 25))}
        ((step, (alarm,)),) = [(step, found) for step, found in heard.items() if found]
        assert alarm.kind == "one_point"
        said_at.append(step)
    assert said_at[0] > 25
    assert said_at[1] == said_at[0] + 75  # the first small spread was at 25, the first after the recovery at 100


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"loss": 0.0, "within_tolerance": 1.0}, True),
        ({"loss": 0.2, "within_tolerance": 1.0}, False),  # negatives still give a gradient
        ({"loss": 0.0, "within_tolerance": 0.9}, False),
    ],
)
def test_a_layer_that_nothing_moves_is_said_at_its_first_step_only(figures: dict[str, float], said: bool) -> None:
    """A later loss of 0 means that the layer has learned its objective."""
    alarms = Alarms(warmup=5)
    text = "layer3 is dead at step 0: all positives (median d 0.05, largest 0.4) are within the tolerance 0.1"
    assert [alarm.text[: len(text)] for alarm in alarms.hear(line(1, **figures))] == [text] * said
    assert alarms.hear(line(25, **figures)) == []


def test_a_tolerance_that_is_never_kept_is_named_after_the_warm_up() -> None:
    """Several consecutive checks without a positive within raise one alarm; not with tolerance 0, nor if some are."""
    alarms = Alarms(warmup=25)
    steps = [1, *range(25, 501, 25)]
    heard = {step: alarms.hear(line(step, within_tolerance=0.0)) for step in steps}
    ((step, (alarm,)),) = [(step, found) for step, found in heard.items() if found]
    assert step > 50  # the first check after the warm-up is not enough
    assert alarm.text.startswith("layer3 never keeps its tolerance: 0% of its positives (median d 0.05) are within 0.1")
    assert not alarm.collapse
    for silent in ({"within_tolerance": 0.2}, {"within_tolerance": 0.0, "tolerance": 0.0}):
        alarms = Alarms(warmup=25)
        assert not any(alarms.hear(line(step, **silent)) for step in steps)


def test_a_resumed_run_does_not_repeat_itself() -> None:
    """From existing lines, alarms know which were raised, and how often a tolerance was unmet."""
    bad = {"dead_units": 0.9, "within_tolerance": 0.0}
    straight, resumed = Alarms(warmup=0), Alarms(warmup=0)
    steps = range(25, 251, 25)
    heard = [straight.hear(line(step, **bad)) for step in steps]
    for step in steps[:2]:
        resumed.hear(line(step, **bad))
    assert [resumed.hear(line(step, **bad)) for step in steps[2:]] == heard[2:]
    assert [alarm.kind for found in heard for alarm in found] == ["dead_units", "never_within"]


# whole trainings


@pytest.mark.parametrize("head", ["none", "linear", "mlp"])
@pytest.mark.parametrize("seed", [0, 1])
def test_collapse_is_said_within_fifty_steps(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, head: str, seed: int
) -> None:
    """The bare positive hinge with tolerance 0 collapses, with and without a head: a warning and a line in the log."""
    run = train(manifest, out=tmp_path / "run", config=changed(head=head, **BARE), seed=seed, progress=False).path
    assert "maps everything to one point" in said(run)
    assert "maps everything to one point" in caplog.text
    assert metrics(run)[-1]["step"] == 50


@pytest.mark.parametrize("terms", [("temporal_hinge",), ("infonce",)])
def test_settings_that_work_are_met_with_silence(
    manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, terms: tuple[str, ...]
) -> None:
    """The hinge with negatives and InfoNCE: no alarm and no warning."""
    with caplog.at_level(logging.WARNING, logger="seqff.training"):
        run = train(manifest, out=tmp_path / "run", config=changed(terms=terms), progress=False).path
    assert said(run) == ""
    assert caplog.text == ""


def test_on_collapse_stop_leaves_a_checkpoint_and_resume_goes_on(manifest: Path, tmp_path: Path) -> None:
    """The error names the layer; the checkpoint is from that step; --resume finishes the run without another error."""
    config = dataclasses.replace(changed(head="mlp", **BARE), on_collapse="stop", monitor_every=10)
    run = tmp_path / "run"
    with pytest.raises(SeqffError, match=r"stopped after step \d+, with a checkpoint.*layer\d maps everything to one"):
        train(manifest, out=run, config=config, progress=False)
    step = metrics(run)[-1]["step"]
    assert step < 50
    assert [path.name for path in list_checkpoints(run)] == [f"step_{step:08d}"]
    assert seqff.load(run).hash() != seqff.load(run, untrained=True).hash()
    for _ in range(3):  # once for each layer that collapses later
        try:
            train(manifest, out=run, config=config, resume=True, progress=False)
        except SeqffError:
            continue
        break
    assert metrics(run)[-1]["step"] == 50
    assert said(run).count("layer1 maps") <= 1


def test_a_collapse_that_stops_is_a_failed_command(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`seqff train --on-collapse stop` exits with 1 and one line; without it the run ends with 0."""
    settings = tmp_path / "config.yaml"
    settings.write_text(dump_yaml(to_dict(dataclasses.replace(changed(head="mlp", **BARE), monitor_every=10))))
    arguments = ["train", str(manifest), "--config", str(settings), "--no-progress"]
    assert main([*arguments, "--out", str(tmp_path / "stopped"), "--on-collapse", "stop"]) == 1
    assert "maps everything to one point" in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path / "warned")]) == 0


def test_a_tolerance_that_nothing_violates_is_said_at_once(manifest: Path, tmp_path: Path) -> None:
    """With tolerance 4 and no negatives every layer is dead at step 0; with negatives, or tolerance 0, none is."""
    dead = {"tolerance": 4.0, "negative_weight": 0.0}
    for name, objective, expected in (
        ("dead", dead, 3),
        ("negatives", {**dead, "negative_weight": 1.0}, 0),
        ("violated", BARE, 0),
    ):
        config = dataclasses.replace(changed(**objective), steps=2)
        run = train(manifest, out=tmp_path / name, config=config, progress=False).path
        assert said(run).count("is dead at step 0: all positives (median d ") == expected
    config = dataclasses.replace(changed(**dead), steps=2)
    before = train(manifest, out=tmp_path / "again", config=config, progress=False)
    assert metrics(before.path)[0]["layer1/loss"] == 0


def test_a_tolerance_out_of_reach_is_said(manifest: Path, tmp_path: Path) -> None:
    """With negatives that keep everything apart, a tolerance of 1e-9 is never met; the default one is."""
    config = dataclasses.replace(changed(tolerance=1e-9), steps=12, monitor_every=2)
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    assert "never keeps its tolerance: 0% of its positives" in said(run)
    config = dataclasses.replace(WATCHED, steps=12, monitor_every=2)
    run = train(manifest, out=tmp_path / "default", config=config, progress=False).path
    assert said(run) == ""
