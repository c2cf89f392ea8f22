"""Damaged and hostile checkpoints, full disks, missing permissions: the last intact checkpoint is used."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import Together
from helpers.small_nets import save_checkpoint, small_batch, small_learners
from helpers.small_runs import CONFIG, resume, weights

from seqff.errors import RunError
from seqff.training.checkpoint import list_checkpoints, load_checkpoint


def flip(path: Path, place: int) -> None:
    """Flip one bit of a file."""
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
    manifest: Path, uninterrupted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Any
) -> None:
    """The damage is detected and reported, and the run ends with the same bytes."""
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    before, last = list_checkpoints(run)
    harm(last)
    assert resume(manifest, run, CONFIG)
    assert f"{last}: the checkpoint cannot be used" in caplog.text
    assert f"It is renamed; the run continues from {before.name}" in caplog.text
    assert (last.parent / f"{last.name}.damaged").is_dir()
    assert weights(run) == weights(uninterrupted)
    assert resume(manifest, run, CONFIG)
    assert weights(run) == weights(uninterrupted)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk."""
    folder = tmp_path / "narrow"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def save_twice(run: Path, fill: Callable[[Path], None]) -> None:
    """Write a checkpoint, fill the disk, write the next one; then check that the first is intact."""
    learners = small_learners()
    first = save_checkpoint(run, 1, learners)
    held = {file.name: file.read_bytes() for file in first.iterdir()}
    learners[0].update(*small_batch())
    fill(run)
    try:
        save_checkpoint(run, 2, learners)
    finally:
        assert [path.name for path in (run / "checkpoints").iterdir()] == ["step_00000001"]
        assert {file.name: file.read_bytes() for file in first.iterdir()} == held
        assert load_checkpoint(first, learners).step == 1


def fill_disk(run: Path) -> None:
    """Fill the disk."""
    (run / "filler").write_bytes(bytes(shutil.disk_usage(run).free))


def limit_files(run: Path) -> None:
    """Limit files of this process to 2000 bytes; for a separate process, whose log is also a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))


def test_a_full_disk_leaves_the_checkpoint_before(narrow: Path) -> None:
    """One clear error; the previous checkpoint is intact and usable; no partial file remains."""
    with pytest.raises(RunError, match=r"no checkpoint of step 2 can be written \(No space left.*\)"):
        save_twice(narrow, fill_disk)


def test_a_limit_on_files_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """The same where the system limits the size of files."""
    (error,) = Together(1, save_twice, tmp_path, limit_files).results()
    assert isinstance(error, RunError)
    assert "no checkpoint of step 2 can be written (File too large; it needs" in str(error)


def save_without_permission(run: Path) -> None:
    """Write a checkpoint without permission; root switches to the user nobody."""
    if os.geteuid() == 0:
        os.setuid(65534)
    save_checkpoint(run, 1, small_learners())


def test_a_folder_without_permission_is_named() -> None:
    """A read-only run folder gives one clear error."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        (error,) = Together(1, save_without_permission, Path(folder)).results()
        Path(folder).chmod(0o700)
    assert isinstance(error, RunError)
    assert "no checkpoint of step 1 can be written (Permission denied; it needs" in str(error)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in place of the checkpoints' folder gives one clear error."""
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
    """Replace a file of a checkpoint and update its checksums."""
    state = json.loads((folder / "state.json").read_text())
    state.pop("sha256")
    if content is not None:
        (folder / name).write_bytes(content)
        known |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    state["files"][name] = known
    digest = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
    (folder / "state.json").write_text(json.dumps({**state, "sha256": digest}))


def test_a_hostile_checkpoint_is_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    """A pickle, a header that claims petabytes, a huge file, external links, deep nesting: one line each."""
    learners, bomb = small_learners(), tmp_path / "boom"
    whole = save_checkpoint(tmp_path / "whole", 1, learners)
    secret = shutil.copy(whole / "layer1.safetensors", tmp_path / "elsewhere")

    def link(folder: Path) -> None:
        (folder / "layer1.safetensors").unlink()
        (folder / "layer1.safetensors").symlink_to(secret)

    def huge(folder: Path) -> None:
        with (folder / "layer1.safetensors").open("r+b") as file:
            file.truncate(10**13)  # sparse on disk, and no memory if not read

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
        ("config.yaml", "steps: !!python/object/apply:os.mkdir [BOMB]", "the run folder is damaged"),
        ("config.yaml", "[" * 5000, "the run folder is damaged"),
        ("config.yaml", "# " + "x" * 2_000_000, "too much for what it should hold"),
        ("metrics.jsonl", '["no step"]\n', "a line without a step, .* is not from a training"),
    ],
)
def test_a_hostile_run_folder_is_refused_and_nothing_is_executed(
    manifest: Path, uninterrupted: Path, tmp_path: Path, file: str, content: str, match: str
) -> None:
    """Settings with a Python object, nested or huge ones, invalid metrics: one line, and nothing is executed."""
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    (run / file).write_text(content.replace("BOMB", str(tmp_path / "boom")))
    with pytest.raises(RunError, match=match) as caught:
        resume(manifest, run, CONFIG)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "boom").exists()
