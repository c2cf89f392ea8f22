"""Checkpoints: one folder per step, tensors as safetensors, the rest as JSON with checksums, written atomically."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from seqff.errors import RunError
from seqff.files import write_atomically, write_json
from seqff.training.learner import LayerLearner

log = logging.getLogger(__name__)
FORMAT, STATE, KEPT = 2, "state.json", 2
MAX_STATE_BYTES = 1_000_000
COPIES = 6
"""A layer's file holds its weights and up to two optimizer moments; a much larger file is refused."""
Files = dict[str, dict[str, Any]]
"""Name of a file -> its `bytes` and `sha256`."""


@dataclass(frozen=True)
class Progress:
    """Progress of a training.

    Args:
        step: steps taken.
        position: batches taken by every replica; differs from `step` after a change of the number of replicas.
        replicas: processes that trained on different batches.
    """

    step: int = 0
    position: int = 0
    replicas: int = 1


def next_batch(progress: Progress, replicas: int, batches_per_round: int) -> int:
    """Return the next batch number of every process; a new round begins if the number of replicas has changed."""
    if progress.replicas == replicas or not progress.step:
        return progress.position
    log.warning(
        "resumed with %d data-parallel processes instead of %d: a step now learns from %g times the "
        "frames, and reading continues with the next round of videos",
        replicas, progress.replicas, replicas / progress.replicas,
    )  # fmt: skip
    return -(-progress.position * progress.replicas // (batches_per_round * replicas)) * batches_per_round


def _tensors(learner: LayerLearner) -> dict[str, Tensor]:
    """Return all tensors of a learner under flat names."""
    learner.apply_pending_step()
    tensors = {f"layer/{name}": value for name, value in learner.layer.state_dict().items()}
    tensors |= {f"head/{name}": value for name, value in learner.head.state_dict().items()}
    for number, state in learner.optimizer.state_dict()["state"].items():
        found = {name: torch.as_tensor(value) for name, value in state.items() if value is not None}
        tensors |= {f"optimizer/{number}/{name}": value for name, value in found.items()}
    tensors |= {f"objective/{name}": value for name, value in learner.objective.state_dict().items()}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _restore(learner: LayerLearner, tensors: dict[str, Tensor], *, optimizer: bool) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    learner.layer.load_state_dict(part("layer/"), strict=True)
    learner.head.load_state_dict(part("head/"), strict=True)
    learner.objective.load_state_dict(part("objective/"), strict=True)
    if not optimizer:
        return
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer/").items():
        number, _, field = name.partition("/")
        parameter = parameters[int(number)]
        if value.ndim:  # the fused kernel iterates in memory order: the layouts of weights and moments must agree
            if value.shape != parameter.shape:
                raise ValueError(f"optimizer/{name} is {tuple(value.shape)}, the weights are {tuple(parameter.shape)}")
            value = torch.empty_like(parameter).copy_(value)
        state.setdefault(int(number), {})[field] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})


def partial_folder(run: Path, step: int) -> Path:
    """Return the temporary folder of a checkpoint."""
    return run / "checkpoints" / f".step_{step:08d}.partial"


def write_part(run: Path, step: int, learners: list[LayerLearner]) -> Files:
    """Write the files of some layers of a checkpoint.

    Raises:
        RunError: the disk is full or the folder cannot be written. Partial files are removed.
    """
    folder, files = partial_folder(run, step), Files()
    try:
        for learner in learners:
            content = save(_tensors(learner))
            write_atomically(folder / f"{learner.name}.safetensors", content)
            files[f"{learner.name}.safetensors"] = {
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
    except OSError as error:
        raise _unwritten(run, step, error) from error
    return files


def complete(run: Path, progress: Progress, files: Files) -> Path:
    """Commit a checkpoint whose parts are all written, by renaming it, and delete the oldest ones.

    Returns:
        The checkpoint's folder. A kill at any moment leaves the previous checkpoint intact.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    partial = partial_folder(run, progress.step)
    folder = run / "checkpoints" / f"step_{progress.step:08d}"
    state = {"format": FORMAT, **asdict(progress), "files": files}
    try:
        write_json(partial / STATE, {**state, "sha256": _digest(state)})
        if folder.exists():
            shutil.rmtree(folder)
        partial.replace(folder)
        for old in list_checkpoints(run)[:-KEPT]:
            shutil.rmtree(old)
    except OSError as error:
        raise _unwritten(run, progress.step, error) from error
    return folder


def clean_up(run: Path) -> None:
    """Delete incomplete checkpoints left by a kill."""
    for partial in (run / "checkpoints").glob(".step_*.partial"):
        shutil.rmtree(partial, ignore_errors=True)


def list_checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    return sorted(path for path in (run / "checkpoints").glob("step_*") if re.fullmatch(r"step_\d{8,}", path.name))


def load_checkpoint(folder: Path, learners: list[LayerLearner], *, optimizer: bool = True) -> Progress:
    """Restore the learners from a checkpoint. Nothing in it is executed, and nothing outside it is read.

    Args:
        folder: the checkpoint.
        learners: all layers of the net, or some.
        optimizer: also restore the state of the optimizers; without it, training cannot continue.

    Returns:
        The progress of the training.

    Raises:
        RunError: the checkpoint is damaged, belongs to another net, or was not written by a training.
    """
    try:
        if folder.is_symlink():
            raise ValueError("it is a link to somewhere else")
        state = _read_state(folder)
        for learner in learners:
            _restore(learner, load(_read_file(folder, learner, state["files"])), optimizer=optimizer)
        return Progress(state["step"], state["position"], state["replicas"])
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RuntimeError, RecursionError) as error:
        raise RunError(f"{folder}: the checkpoint cannot be used: {' '.join(str(error).split())}") from error


def _read_state(folder: Path) -> dict[str, Any]:
    """Read and check the JSON file of a checkpoint."""
    path = folder / STATE
    if path.is_symlink() or path.stat().st_size > MAX_STATE_BYTES:
        raise ValueError(f"{STATE} is a link, or much too large")
    state = json.loads(path.read_bytes())
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise ValueError(f"{STATE} is not of format {FORMAT}, which is what this version of seqff reads")
    if state.pop("sha256", None) != _digest(state):
        raise ValueError(f"{STATE} is damaged: its checksum is another")
    if any(type(state.get(name)) is not int or state[name] < 0 for name in ("step", "position", "replicas")):
        raise ValueError(f"{STATE}: step, position and replicas must be whole numbers")
    if folder.name != f"step_{state['step']:08d}" or not isinstance(state["files"], dict):
        raise ValueError(f"{STATE} is of another checkpoint")
    return state


def _read_file(folder: Path, learner: LayerLearner, files: Files) -> bytes:
    """Read the file of a layer and verify its checksum."""
    name = f"{learner.name}.safetensors"
    path, known = folder / name, files[name]
    if path.is_symlink():
        raise ValueError(f"{name} is a link to somewhere else")
    size = path.stat().st_size
    modules = (learner.layer, learner.head, learner.objective)
    weights = sum(value.numel() * value.element_size() for part in modules for value in part.state_dict().values())
    if size > COPIES * weights + MAX_STATE_BYTES:
        raise ValueError(f"{name} has {size} bytes, far more than the layer ({weights} bytes of weights)")
    if size != known["bytes"]:
        raise ValueError(f"{name} is damaged: it has {size} bytes, {known['bytes']} were written")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != known["sha256"]:
        raise ValueError(f"{name} is damaged: its checksum is another")
    return content


def _digest(state: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _unwritten(run: Path, step: int, error: OSError) -> RunError:
    """Remove a partial checkpoint, and return the error to raise."""
    shutil.rmtree(partial_folder(run, step), ignore_errors=True)
    before = list_checkpoints(run)
    kept = f"the last one, {before[-1].name}, is intact: --resume continues from there" if before else "there is none"
    return RunError(f"{run}: no checkpoint of step {step} can be written ({error.strerror}); {kept}")
