"""Checkpoints: a folder a step, tensors as safetensors, numbers as JSON, in place at once or not at all."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from seqff.errors import RunError
from seqff.files import write_atomically, write_json
from seqff.training.learner import LayerLearner

KEPT = 2


def _tensors(learner: LayerLearner) -> dict[str, Tensor]:
    """All tensors of a learner under flat names."""
    tensors = {f"layer/{name}": value for name, value in learner.layer.state_dict().items()}
    tensors |= {f"head/{name}": value for name, value in learner.head.state_dict().items()}
    for number, state in learner.optimizer.state_dict()["state"].items():
        found = {name: torch.as_tensor(value) for name, value in state.items() if value is not None}
        tensors |= {f"optimizer/{number}/{name}": value for name, value in found.items()}
    if learner.average is not None:
        tensors |= {f"average/{name}": value for name, value in learner.average.state_dict().items()}
    tensors |= {f"objective/{name}": value for name, value in learner.objective.state_dict().items()}
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def _restore(learner: LayerLearner, tensors: dict[str, Tensor]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

    learner.layer.load_state_dict(part("layer/"), strict=True)
    learner.head.load_state_dict(part("head/"), strict=True)
    learner.objective.load_state_dict(part("objective/"), strict=True)
    if learner.average is not None:
        learner.average.load_state_dict(part("average/"))
    parameters = [p for group in learner.optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer/").items():
        number, _, field = name.partition("/")
        if value.ndim:  # the fused kernel walks weights and moments in memory order: their layouts must agree
            value = torch.empty_like(parameters[int(number)]).copy_(value)
        state.setdefault(int(number), {})[field] = value
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})


def save_checkpoint(run: Path, step: int, learners: list[LayerLearner]) -> Path:
    """Write checkpoints/step_NNNNNNNN and drop all but the last two.

    Args:
        run: the run folder.
        step: steps taken so far.
        learners: the layers with their heads, optimisers and tolerances.

    Returns:
        The checkpoint's folder. A kill at any moment leaves the previous checkpoint as it was.
    """
    folder = run / "checkpoints" / f"step_{step:08d}"
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for learner in learners:
        write_atomically(partial / f"{learner.name}.safetensors", save(_tensors(learner)))
    write_json(partial / "state.json", {"format": 1, "step": step})
    if folder.exists():
        shutil.rmtree(folder)
    partial.replace(folder)
    for old in list_checkpoints(run)[:-KEPT]:
        shutil.rmtree(old)
    return folder


def list_checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    return sorted(path for path in (run / "checkpoints").glob("step_*") if re.fullmatch(r"step_\d{8,}", path.name))


def load_checkpoint(folder: Path, learners: list[LayerLearner]) -> int:
    """Put the learners where a checkpoint left them.

    Returns:
        Steps taken so far.

    Raises:
        RunError: the checkpoint is damaged or of another net.
    """
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_bytes())
        for learner in learners:
            _restore(learner, load_file(folder / f"{learner.name}.safetensors"))
        return int(state["step"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise RunError(f"{folder}: the checkpoint cannot be used: {' '.join(str(error).split())}") from error
