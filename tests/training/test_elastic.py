"""Sudden death: killed processes, damaged and hostile checkpoints, full disks; what is left goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import pickle
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import Together, context, together
from small_nets import small_batch, small_learners

import seqff
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.errors import RunError
from seqff.training import train
from seqff.training.checkpoint import list_checkpoints, load_checkpoint, save_checkpoint

CONFIG = TrainConfig(
    steps=40,
    checkpoint_every=5,
    log_every=10,
    precision="fp32",
    pairs=PairsConfig(
        size_px=16, gap=1, far=6, videos_per_batch=3, stretches=2, stretch_frames=3, uses=2, buffer_videos=6
    ),
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
    objective=ObjectiveConfig(head_width=8, head_out=4, grid=(2,)),
)
KILLS = int(os.environ.get("SEQFF_TEST_KILLS", "3"))


@pytest.fixture(scope="module")
def manifest(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips, scanned once for all tests here."""
    path = tmp_path_factory.mktemp("scan") / "manifest.json"
    seqff.scan(clips, out=path, progress=False)
    return path


@pytest.fixture(scope="module")
def whole(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    return train(manifest, out=tmp_path_factory.mktemp("runs") / "whole", config=CONFIG, progress=False).path


def weights(run: Path) -> bytes:
    """The trained weights as they lie on disk."""
    return (run / "encoder.safetensors").read_bytes()


def resume(manifest: Path, run: Path, config: TrainConfig) -> bool:
    """Start or go on, in a process of its own."""
    return train(manifest, out=run, config=config, resume=True, progress=False).path.exists()


def test_kill_9_at_any_moment_costs_nothing_but_time(manifest: Path, whole: Path, tmp_path: Path) -> None:
    """Killed at random moments and resumed each time, a run ends with the bytes of one that was left alone.

    SEQFF_TEST_KILLS sets how often.
    """
    began = time.monotonic()
    Together(1, resume, manifest, tmp_path / "timed", CONFIG).results()
    longest, random = time.monotonic() - began, np.random.default_rng(0)
    for _ in range(KILLS):
        started = Together(1, resume, manifest, tmp_path / "run", CONFIG)
        started.processes[0].join(random.uniform(0, longest))
        started.processes[0].kill()
        assert started.results()[0] in (None, True)  # True: it was done before the kill
    assert Together(1, resume, manifest, tmp_path / "run", CONFIG).results() == [True]
    assert weights(tmp_path / "run") == weights(whole)
    mine, theirs = (list_checkpoints(run)[-1] for run in (tmp_path / "run", whole))
    assert all((mine / file.name).read_bytes() == file.read_bytes() for file in theirs.iterdir())


def mortal(manifest: Path, run: Path, config: TrainConfig) -> str:
    """Train as one of two that torchrun watches; the second one is killed once, after the first checkpoint."""

    def kill_after_checkpoint() -> None:
        while not list_checkpoints(run):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGKILL)

    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        threading.Thread(target=kill_after_checkpoint, daemon=True).start()
    return train(manifest, out=run, config=config, overwrite=True, progress=False).encoder.hash()


def plain(manifest: Path, run: Path, config: TrainConfig) -> str:
    """Train."""
    return train(manifest, out=run, config=config, progress=False).encoder.hash()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning:torch")
def test_torchrun_restarts_what_was_killed_and_the_run_completes(manifest: Path, tmp_path: Path) -> None:
    """One of two workers is killed: torchrun's agent starts both again with the same command, --overwrite and all; they
    go on from the last checkpoint, and the weights are those of two workers left alone."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    context()  # the agent's workers come out of the process that has imported everything
    config = dataclasses.replace(CONFIG, steps=150)
    (tmp_path / "run").mkdir()
    launch = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=1,
        monitor_interval=0.05,
        start_method="forkserver",
    )
    found = elastic_launch(launch, mortal)(manifest, tmp_path / "run", config)
    straight = together(2, plain, manifest, tmp_path / "straight", config)
    assert found == {0: straight[0], 1: straight[1]}
    assert weights(tmp_path / "run") == weights(tmp_path / "straight")


def flip(path: Path, place: int) -> None:
    """Turn one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: os.truncate(folder / "layer2.safetensors", 1000),
        lambda folder: os.truncate(folder / "state.json", 10),
        lambda folder: flip(folder / "layer1.safetensors", -5),
        lambda folder: flip(folder / "layer1.safetensors", 40),
        lambda folder: flip(folder / "state.json", (folder / "state.json").read_text().index("step") + 8),
        lambda folder: (folder / "layer2.safetensors").unlink(),
    ],
    ids=["cut tensors", "cut state", "flipped weight", "flipped header", "flipped step", "lost file"],
)
def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_used(
    manifest: Path, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Any
) -> None:
    """The damage is found and named, and the run ends with the bytes it would have had."""
    run = shutil.copytree(whole, tmp_path / "run")
    before, last = list_checkpoints(run)
    harm(last)
    assert resume(manifest, run, CONFIG)
    assert f"{last}: the checkpoint cannot be used" in caplog.text
    assert f"It is put aside; the run goes on from {before.name}" in caplog.text
    assert (last.parent / f"{last.name}.damaged").is_dir()
    assert weights(run) == weights(whole)
    assert resume(manifest, run, CONFIG)
    assert weights(run) == weights(whole)


@pytest.fixture(params=["file size limit", "full disk"])
def narrow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A folder, and a context in which no file of a layer has room in it."""
    folder = tmp_path / "narrow"
    folder.mkdir()
    if request.param == "file size limit":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")

    def fill() -> None:
        free = shutil.disk_usage(folder).free
        (folder / "filler").write_bytes(bytes(free))

    yield folder, fill
    subprocess.run(["umount", str(folder)], check=True)


def test_no_room_for_a_checkpoint_leaves_the_one_before(narrow: Any) -> None:
    """One clear error; the checkpoint before is untouched and can be used; nothing half-written stays."""
    run, fill = narrow
    learners = small_learners()
    first = save_checkpoint(run, 1, learners)
    held = {file.name: file.read_bytes() for file in first.iterdir()}
    learners[0].update(*small_batch())
    fill()
    with pytest.raises(RunError, match=r"no checkpoint of step 2 can be written \((File too large|No space left.*)\)"):
        save_checkpoint(run, 2, learners)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step_00000001"]
    assert {file.name: file.read_bytes() for file in first.iterdir()} == held
    assert load_checkpoint(first, learners).step == 1


def save_without_permission(run: Path) -> None:
    """Write a checkpoint as somebody who may not; root may everywhere, and becomes nobody."""
    if os.geteuid() == 0:
        os.setuid(65534)
    save_checkpoint(run, 1, small_learners())


def test_a_folder_without_permission_is_named() -> None:
    """A run folder that may be read and not written gives one clear error."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        (error,) = Together(1, save_without_permission, Path(folder)).results()
        Path(folder).chmod(0o700)
    assert isinstance(error, RunError)
    assert "no checkpoint of step 1 can be written (Permission denied)" in str(error)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the checkpoints should go: one clear error."""
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RunError, match="no checkpoint of step 1 can be written"):
        save_checkpoint(tmp_path, 1, small_learners())


class Bomb:
    """Leaves a file behind if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def forge(folder: Path, name: str, content: bytes | None = None, **known: Any) -> None:
    """Replace a checkpoint's file, and what the checkpoint knows of it, so that all checksums hold."""
    state = json.loads((folder / "state.json").read_text())
    state.pop("sha256")
    if content is not None:
        (folder / name).write_bytes(content)
        known |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    state["files"][name] = known
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    (folder / "state.json").write_text(json.dumps({**state, "sha256": digest}))


def test_a_hostile_checkpoint_is_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    """A pickle, a header that claims petabytes, a huge file, links out of the folder, deep nesting: one line each."""
    learners, bomb = small_learners(), tmp_path / "boom"
    whole = save_checkpoint(tmp_path / "whole", 1, learners)
    secret = shutil.copy(whole / "layer1.safetensors", tmp_path / "elsewhere")

    def link(folder: Path) -> None:
        (folder / "layer1.safetensors").unlink()
        (folder / "layer1.safetensors").symlink_to(secret)

    def huge(folder: Path) -> None:
        with (folder / "layer1.safetensors").open("r+b") as file:
            file.truncate(10**13)  # takes no room on disk, and no memory if it is not read

    petabytes = json.dumps({"layer/x": {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 4 * 10**15]}}).encode()
    harms = {
        "pickle": (lambda f: forge(f, "layer1.safetensors", pickle.dumps(Bomb(bomb))), "cannot be used"),
        "petabytes": (
            lambda f: forge(f, "layer1.safetensors", len(petabytes).to_bytes(8, "little") + petabytes),
            "cannot be used",
        ),
        "long header": (lambda f: forge(f, "layer1.safetensors", b"\xff" * 7 + b"\x00" + b"{}"), "cannot be used"),
        "huge": (huge, "far more than the layer"),
        "link": (link, "a link to somewhere else"),
        "nested": (lambda f: (f / "state.json").write_text("[" * 100_000), "cannot be used"),
        "odd": (lambda f: forge(f, "layer1.safetensors", bytes=[], sha256={}), "is damaged"),
    }
    for name, (harm, match) in harms.items():
        folder = shutil.copytree(whole, tmp_path / name / whole.name)
        harm(folder)
        with pytest.raises(RunError, match=match) as caught:
            load_checkpoint(folder, learners)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)
    away = tmp_path / "away" / whole.name
    away.parent.mkdir()
    away.symlink_to(whole)
    with pytest.raises(RunError, match="a link to somewhere else"):
        load_checkpoint(away, learners)
    assert not bomb.exists()


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("config.yaml", "steps: !!python/object/apply:os.mkdir [BOMB]", "damaged, the run cannot be resumed"),
        ("config.yaml", "[" * 5000, "damaged, the run cannot be resumed"),
        ("config.yaml", "# " + "x" * 2_000_000, "too much for settings"),
        ("metrics.jsonl", '["no step"]\n', "a line without a step is not from a training"),
    ],
)
def test_a_hostile_run_folder_is_refused_and_nothing_is_executed(
    manifest: Path, whole: Path, tmp_path: Path, file: str, content: str, match: str
) -> None:
    """Settings with a Python object, nested or huge ones, metrics that are none: one line, nothing run."""
    run = shutil.copytree(whole, tmp_path / "run")
    (run / file).write_text(content.replace("BOMB", str(tmp_path / "boom")))
    with pytest.raises(RunError, match=match) as caught:
        resume(manifest, run, CONFIG)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "boom").exists()


def test_checkpoints_by_the_clock_and_how_many_stay(manifest: Path, tmp_path: Path) -> None:
    """checkpoint_minutes makes one due between two by steps; keep_checkpoints of them stay; both may change later."""
    config = dataclasses.replace(CONFIG, steps=6, checkpoint_every=100, checkpoint_minutes=1e-9, keep_checkpoints=4)
    run = train(manifest, out=tmp_path / "run", config=config, progress=False).path
    assert [path.name[-1] for path in list_checkpoints(run)] == ["3", "4", "5", "6"]
    assert resume(manifest, run, dataclasses.replace(config, checkpoint_minutes=0.0, keep_checkpoints=1))
    for wrong in ({"checkpoint_every": 0}, {"keep_checkpoints": 0}, {"checkpoint_minutes": -1.0}):
        with pytest.raises(ValueError, match="checkpoint_every and keep_checkpoints must be at least 1"):
            train(manifest, out=tmp_path / "wrong", config=dataclasses.replace(CONFIG, **wrong), progress=False)
    assert not (tmp_path / "wrong").exists()
    assert logging.getLogger("seqff").level == logging.NOTSET
