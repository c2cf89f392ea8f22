"""Training from videos to a run folder: repeatable, resumable, and careful with existing files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import seqff
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.config_io import dump_yaml, load_config, read_yaml, to_dict
from seqff.errors import RunError, SeqffError
from seqff.train import train
from seqff.training.setup import with_steps
from seqff.training.supervised import train_supervised
from seqff.video import Manifest

CONFIG = TrainConfig(
    steps=6,
    checkpoint_every=2,
    log_every=1,
    pairs=PairsConfig(
        size_px=16,
        gap=1,
        far=6,
        videos_per_batch=3,
        clips_per_video=2,
        clip_frames=3,
        batches_per_visit=2,
        buffer_videos=6,
    ),
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
    objective=ObjectiveConfig(head_out=4, grid=(2,)),
)
LONG = replace(CONFIG, steps=200, checkpoint_every=1000)
"""Long enough that a process is stopped before its end."""


def weights(run: Path) -> bytes:
    """Return the bytes of the trained weights on disk."""
    return (run / "encoder.safetensors").read_bytes()


def figures(run: Path) -> list[dict[str, float]]:
    """Return the logged metrics, without times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def whole(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    return train(clips, out=tmp_path_factory.mktemp("runs") / "whole", config=CONFIG, progress=False).path


@pytest.fixture(scope="module")
def whole_long(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of LONG that nothing interrupted."""
    return train(manifest, out=tmp_path_factory.mktemp("runs") / "long", config=LONG, progress=False).path


def test_a_run_folder_holds_what_is_needed_to_use_and_repeat_it(whole: Path) -> None:
    """Settings, versions, manifest, metrics of every layer, the encoder before and after, the last checkpoints."""
    names = {path.name for path in whole.iterdir()}
    assert {"config.yaml", "env.json", "manifest.sqlite", "metrics.jsonl", "encoder.json", "checkpoints"} <= names
    assert [line["step"] for line in figures(whole)] == [1, 2, 3, 4, 5, 6]
    assert {"layer1/loss", "layer2/positive_distance"} <= set(figures(whole)[-1])
    assert seqff.load(whole).hash() != seqff.load(whole, untrained=True).hash()
    assert [path.name for path in sorted((whole / "checkpoints").iterdir())] == ["step_00000004", "step_00000006"]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_same_seed_same_numbers_whatever_the_workers(manifest: Path, whole: Path, tmp_path: Path, workers: int) -> None:
    """Weights are equal bit for bit with 0, 1 and 2 decoding processes."""
    config = TrainConfig(**{**vars(CONFIG), "workers": workers})
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    assert weights(run) == weights(whole)
    assert figures(run) == figures(whole)


def test_another_seed_gives_other_weights(manifest: Path, whole: Path, tmp_path: Path) -> None:
    """The seed matters."""
    run = train(manifest, out=tmp_path / "run", config=CONFIG, seed=1, progress=False).path
    assert weights(run) != weights(whole)


def test_a_killed_run_resumes_to_the_same_weights(manifest: Path, whole_long: Path, tmp_path: Path) -> None:
    """kill -9 after the first checkpoint, then --resume: weights and metrics as in an uninterrupted run."""
    run, settings = tmp_path / "run", tmp_path / "config.yaml"
    config = replace(LONG, checkpoint_every=10)
    settings.write_text(dump_yaml(to_dict(config)))
    command = [sys.executable, "-m", "seqff", "train", str(manifest), "--out", str(run), "--config", str(settings)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # as in this process: sums depend on the number of threads
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=one_thread)
    deadline = time.monotonic() + 300
    while not (run / "encoder.safetensors").exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert seqff.load(run).hash()  # the result of a kill is usable
    assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
    train(manifest, out=run, config=config, resume=True, progress=False)
    assert weights(run) == weights(whole_long)
    assert figures(run) == figures(whole_long)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_a_checkpoint_between_steps(
    manifest: Path, whole_long: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM: the step is finished and saved; resumed, the run ends as if never stopped."""
    run, settings = tmp_path / "run", tmp_path / "config.yaml"
    settings.write_text(dump_yaml(to_dict(LONG)))
    command = [sys.executable, "-m", "seqff", "train", str(manifest), "--out", str(run), "--config", str(settings)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=one_thread, text=True)
    while not (run / "metrics.jsonl").exists() or len((run / "metrics.jsonl").read_text().splitlines()) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "--resume continues" in said
    (checkpoint,) = (run / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step_"))
    assert 3 <= step < LONG.steps
    assert figures(run)[-1]["step"] == step
    assert weights(train(manifest, out=run, config=LONG, resume=True, progress=False).path) == weights(whole_long)


def test_resuming_needs_the_same_settings(manifest: Path, whole: Path, tmp_path: Path) -> None:
    """Other settings or another seed are refused and named; resuming a finished run changes nothing."""
    run = shutil.copytree(whole, tmp_path / "run")
    other = TrainConfig(**{**vars(CONFIG), "log_every": 9})
    with pytest.raises(RunError, match=r"log_every: 1 -> 9; resume with its original settings"):
        train(manifest, out=run, config=other, resume=True, progress=False)
    with pytest.raises(RunError, match=r"seed: 0 -> 5"):
        train(manifest, out=run, config=CONFIG, seed=5, resume=True, progress=False)
    train(manifest, out=run, config=CONFIG, resume=True, progress=False)
    assert weights(run) == weights(whole)


@pytest.mark.parametrize(("videos", "steps"), [(1, 600), (200, 600), (201, 603), (900, 2700), (90_000, 3000)])
def test_steps_follow_the_videos(videos: int, steps: int) -> None:
    """Three steps per video within limits, unless a number is given."""
    manifest = SimpleNamespace(usable=[None] * videos)
    assert with_steps(replace(CONFIG, steps=0), manifest).steps == steps
    assert with_steps(CONFIG, manifest) == CONFIG


def test_a_run_without_a_number_of_steps_finds_its_own(manifest: Path, tmp_path: Path) -> None:
    """The run folder records the number before the first step, like a dry run; resumed without a number it ends
    there."""
    config = replace(CONFIG, steps=0, optim=replace(CONFIG.optim, lr=1e30))  # it diverges soon
    planned = seqff.train(manifest, config=config, dry_run=True, progress=False).steps
    assert planned > 0
    with pytest.raises(RunError, match="not a finite number"):
        train(manifest, out=tmp_path / "run", config=config, progress=False)
    assert load_config(tmp_path / "run" / "config.yaml") == replace(config, steps=planned)
    other = train(manifest, out=tmp_path / "other", config=CONFIG, progress=False).path
    before = weights(other)
    train(manifest, out=other, config=replace(CONFIG, steps=0), resume=True, progress=False)
    assert (load_config(other / "config.yaml"), weights(other)) == (CONFIG, before)
    labels = {entry.path: entry.path.split("/")[0] for entry in Manifest.load(manifest)}
    with pytest.raises(RunError, match="not a finite number"):
        train_supervised(manifest, labels, out=tmp_path / "taught", config=config, progress=False)
    assert read_yaml(tmp_path / "taught" / "config.yaml")["steps"] == planned


def test_a_folder_in_the_way_is_left_alone(manifest: Path, whole: Path, tmp_path: Path) -> None:
    """An existing run needs --resume or --overwrite; a folder that is not a run is never deleted."""
    with pytest.raises(RunError, match="resume continues it"):
        train(manifest, out=whole, config=CONFIG, progress=False)
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.txt").write_text("...")
    with pytest.raises(RunError, match="nothing was touched"):
        train(manifest, out=precious, config=CONFIG, overwrite=True, progress=False)
    assert (precious / "chapter1.txt").exists()


def test_a_failing_start_leaves_no_folder(clips: Path, tmp_path: Path) -> None:
    """Invalid settings or no videos: an error, and nothing is left that blocks another attempt."""
    impossible = TrainConfig(**{**vars(CONFIG), "pairs": PairsConfig(gap=99, clip_frames=100, far=200)})
    with pytest.raises(ValueError, match="at least 2 videos"):
        train(clips, out=tmp_path / "run", config=impossible, progress=False)
    with pytest.raises(FileNotFoundError):
        train(tmp_path / "nothing", out=tmp_path / "run", config=CONFIG, progress=False)
    assert not (tmp_path / "run").exists()


def test_damaged_checkpoints_are_named(manifest: Path, whole: Path, tmp_path: Path) -> None:
    """If no checkpoint is intact, the run is refused with the path of the last one."""
    run = shutil.copytree(whole, tmp_path / "run")
    for damaged in run.glob("checkpoints/*/layer1.safetensors"):
        damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(RunError, match="step_00000006: the checkpoint cannot be used"):
        train(manifest, out=run, config=CONFIG, resume=True, progress=False)


def test_too_many_unreadable_videos_stop_the_training(clips: Path, tmp_path: Path) -> None:
    """One bad file among nine is above 5 % and is reported; with max_bad it is skipped and the rest is used."""
    videos = shutil.copytree(clips, tmp_path / "videos")
    (videos / "class_0" / "text.mp4").write_text("no video")
    with pytest.raises(SeqffError, match=r"text\.mp4"):
        train(videos, out=tmp_path / "run", config=CONFIG, progress=False)
    assert train(videos, out=tmp_path / "run", config=CONFIG, max_bad=0.2, progress=False).path.exists()


def test_a_video_lost_during_training_is_replaced_and_named(
    clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file removed after the scan is replaced by another visit, with one warning; above max_bad training stops."""
    from seqff.pairs import PairStream
    from seqff.transform import FrameTransform

    videos = shutil.copytree(clips, tmp_path / "videos")
    manifest = seqff.scan(videos, out=tmp_path / "manifest.json", progress=False)
    lost = manifest.usable[0].path
    (videos / lost).unlink()

    def batches(max_bad: float) -> list[int]:
        stream = PairStream(manifest, FrameTransform(16, 16), CONFIG.pairs, seed=0, max_bad=max_bad)
        found = stream.batches()
        return [len(next(found).frames) for _ in range(12)]

    assert len(batches(0.2)) == 12
    assert sum(lost in record.getMessage() for record in caplog.records) == 1
    with pytest.raises(SeqffError, match="more than 5%"):
        batches(0.05)
