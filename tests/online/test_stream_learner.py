"""Online learning: `stream_learner` for programs, `seqff train --stream` on the command line."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.painted import write_painted
from helpers.small_runs import weights
from helpers.streams import noise, stream_config

import seqff
from seqff.cli import main
from seqff.errors import RunError, SeqffError, VideoError
from seqff.online import reader
from seqff.online.statistics import describe
from seqff.training.checkpoint import list_checkpoints


def lines_of(run: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def some(start: int, stop: int) -> Iterator[np.ndarray]:
    """Frames of noise."""
    return (noise(number) for number in range(start, stop))


def test_a_run_folder_like_any_other(clips: Path, tmp_path: Path) -> None:
    """Steps move the layers; the run can be loaded, extracted with and reported on, and says what it was fed with."""
    config = stream_config(objective=dataclasses.replace(stream_config().objective, tolerance="calibrated"))
    run = seqff.train(stream=some(0, 120), out=tmp_path / "run", config=config, progress=False)
    steps = [line["step"] for line in lines_of(run.path)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 10
    assert lines_of(run.path)[-1]["layer1/tolerance"] > 0
    assert run.stream["frames"] == 120
    assert (run.path / "encoder_untrained.safetensors").read_bytes() != weights(run.path)
    assert seqff.load(run.path).hash() == run.encoder.hash()
    seqff.extract(run.path, clips, out=tmp_path / "features", progress=False)
    seqff.report(run.path, out=tmp_path / "page.html", progress=False)
    page = (tmp_path / "page.html").read_text()
    assert "trained on a stream: the iterator" in page
    assert "120 frames, 0 dropped" in page


def test_observe_is_what_train_does(tmp_path: Path) -> None:
    """A program that hands over frames gets the bits of `train` on the same frames; features come meanwhile."""
    config = stream_config()
    run = seqff.train(stream=some(0, 100), out=tmp_path / "train", config=config, progress=False)
    with seqff.stream_learner(out=tmp_path / "robot", config=config) as learner:
        stepped = [learner.observe(noise(number)) for number in range(100)]
        features = learner.features(noise(0))
        assert {name: value.shape for name, value in features.items()} == {"layer1": (16,), "layer2": (24,)}
        assert sum(stepped) == learner.step == len(lines_of(run.path))
        assert learner.save() == tmp_path / "robot"
    assert weights(run.path) == weights(tmp_path / "robot")


def test_frames_that_are_none(tmp_path: Path) -> None:
    """Another shape, another type, a time that runs backwards or is left out: named, and nothing is learned of it."""
    seconds = dataclasses.replace(stream_config().pairs, gap="0.1s", far="1s")
    learner = seqff.stream_learner(out=tmp_path / "run", config=stream_config())
    with pytest.raises(SeqffError, match="no frame has come yet"):
        learner.save()
    learner.observe(noise(0), time=3.0)
    for frame, error in ((noise(0)[..., 0], ValueError), (noise(0) / 255.0, ValueError), ([1, 2], TypeError)):
        with pytest.raises(error, match=r"uint8.*height, width, 3"):
            learner.observe(frame, time=4.0)  # type: ignore[arg-type]
    for time in (2.9, float("nan")):
        with pytest.raises(ValueError, match="must not run backwards"):
            learner.observe(noise(1), time=time)
    with pytest.raises(ValueError, match="every frame or with none"):
        learner.observe(noise(1))
    learner.observe(noise(1)[:16, :24], time=3.0)  # another size is scaled, the same time is none before
    assert learner.frames == 2
    learner.close()
    timed = seqff.stream_learner(out=tmp_path / "timed", config=stream_config(pairs=seconds))
    with pytest.raises(ValueError, match=r"pairs\.gap in seconds needs times"):
        timed.observe(noise(0))
    with pytest.raises(SeqffError, match="exists"):
        seqff.stream_learner(out=tmp_path / "run", config=stream_config())
    with pytest.raises(ValueError, match="trainer='greedy'"):
        seqff.stream_learner(out=tmp_path / "greedy", config=stream_config(trainer="greedy"), size=(32, 32))
    assert not (tmp_path / "greedy").exists()


def test_a_stopped_run_goes_on_with_what_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM leaves a checkpoint and says how to go on; --resume takes its steps further, and says what is gone."""
    monkeypatch.setattr(reader, "BUFFER_FRAMES", 1)
    config = stream_config(checkpoint_every=10_000)

    def stopped() -> Iterator[np.ndarray]:
        yield from some(0, 80)
        os.kill(os.getpid(), signal.SIGTERM)
        yield from some(80, 10**9)

    with pytest.raises(KeyboardInterrupt):
        seqff.train(stream=stopped(), out=tmp_path / "run", config=config, progress=False)
    (checkpoint,) = list_checkpoints(tmp_path / "run")
    steps = int(checkpoint.name.removeprefix("step_"))
    assert steps >= 5
    assert f"stopped after step {steps}; the same command with --resume continues" in caplog.text
    run = seqff.train(stream=some(0, 80), out=tmp_path / "run", config=config, resume=True, progress=False)
    assert f"continues from step {steps}; a stream cannot be replayed" in caplog.text
    assert [line["step"] for line in lines_of(run.path)] == list(range(1, len(lines_of(run.path)) + 1))
    assert len(lines_of(run.path)) > steps
    assert run.stream["sessions"] == 2
    assert run.stream["frames"] > 150


def test_ends(manifest: Path, tmp_path: Path) -> None:
    """Steps, minutes, too few frames: each end is said as it is."""
    endless = (noise(number % 50) for number in itertools.count())
    run = seqff.train(stream=endless, out=tmp_path / "steps", config=stream_config(steps=4), progress=False)
    assert [path.name for path in list_checkpoints(run.path)] == ["step_00000004"]
    config = stream_config(live={"minutes": 0.01})
    run = seqff.train(stream=endless, out=tmp_path / "minutes", config=config, progress=False)
    assert 0.6 <= run.seconds < 10
    with pytest.raises(SeqffError, match="ended after 10 frames, too few for a first step"):
        seqff.train(stream=some(0, 10), out=tmp_path / "few", config=stream_config(), progress=False)
    with pytest.raises(RunError, match="is a training on a stream"):
        seqff.train(manifest, out=run.path, config=config, resume=True, progress=False)
    with pytest.raises(ValueError, match="either videos or a stream"):
        seqff.train(tmp_path, stream=some(0, 10), out=tmp_path / "both")
    with pytest.raises(ValueError, match="or 0 for as long as the stream lasts, got -1"):
        seqff.train(stream=some(0, 100), out=tmp_path / "below", config=stream_config(steps=-1), progress=False)


def test_a_lost_source_leaves_what_was_learned(tmp_path: Path) -> None:
    """Cuts are in the summary; when the source is given up, a checkpoint is there."""
    config = stream_config(checkpoint_every=10_000, live={"retries": 2})
    connections = iter([(0, 60), (60, 90), None, None, None])

    def connect() -> Iterator[np.ndarray]:
        found = next(connections)
        if found is None:
            raise OSError("unplugged")
        yield from some(*found)
        raise ConnectionResetError("reset")

    with pytest.raises(VideoError, match="given up after 2 attempts"):
        seqff.train(stream=connect, out=tmp_path / "run", config=config, progress=False)
    assert len(list_checkpoints(tmp_path / "run")) == 1
    facts = json.loads((tmp_path / "run" / "stream.json").read_text())
    assert (facts["frames"], facts["connections_lost"]) == (90, 2)
    first, second, third = describe(facts)
    assert first == "the function connect: 90 frames, 0 dropped, connection lost 2 times"
    assert second.startswith("lost: reset (1 attempts, back after")
    assert third == "lost: reset (2 attempts, never came back)"


def test_dropped_frames_are_told(tmp_path: Path) -> None:
    """What a slow learner could not take is in the metrics, in stream.json and in the summary."""

    def flood() -> Iterator[np.ndarray]:
        yield from some(0, 460)

    config = stream_config(live={"behind": "drop"})
    run = seqff.train(stream=flood(), out=tmp_path / "run", config=config, progress=False)
    assert run.stream["dropped"] > 0
    assert run.stream["frames"] + run.stream["dropped"] == run.stream["came"] == 460
    assert lines_of(run.path)[-1]["dropped"] > 0


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`seqff train --stream PIPE` learns and says what came; videos and a stream together are refused."""
    data, pipe = write_painted(tmp_path / "clip.ts", frames=100, key_every=5).read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    sender = threading.Thread(target=lambda: pipe.write_bytes(data), daemon=True)
    sender.start()
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "steps: 0\npairs: {size_px: 16, far: 6, videos_per_batch: 3}\n"
        "encoder: {widths: [4, 6], kernels: [5, 3], strides: [2, 1], pools: [1, 1]}\n"
    )
    command = ["train", "--out", str(tmp_path / "run"), "--config", str(settings), "--no-progress"]
    assert main([*command, "--stream", str(pipe), "--live.new-frames", "8", "--live.reservoir-frames", "64"]) == 0
    sender.join()
    told = capsys.readouterr().out
    assert f"{pipe}: 100 frames, 0 dropped, connection lost 0 times" in told
    assert "seqff extract" in told
    assert main([*command, str(tmp_path), "--stream", "0"]) == 2
    assert main(command) == 2
    assert "give either videos or a stream" in capsys.readouterr().err
