"""A Forward-Forward net as one safetensors file, with its settings in the header."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from seqff.config import GoodnessConfig
from seqff.config_io import from_dict
from seqff.errors import ConfigError, RunError
from seqff.files import write_atomically
from seqff.forward_forward.dense_net import DenseNet, Readout
from seqff.forward_forward.net import ForwardForward

FORMAT = "1"


def save_forward_forward(model: ForwardForward, path: str | Path) -> None:
    """Write a fitted net, with its softmax if it has one, atomically.

    Args:
        model: a fitted net.
        path: file to write, .safetensors.

    Raises:
        ValueError: the net has not been fitted.
    """
    if model.net is None:
        raise ValueError("there is nothing to save: call fit(x, y) first")
    settings = {
        "widths": list(model.widths), "mode": model.mode, "negatives": model.negatives,
        "goodness": asdict(model.config),
        "lr": model.optim.lr, "weight_decay": model.optim.weight_decay, "batch": model.batch, "jitter": model.jitter,
        "skip_first": model.first == 1, "seed": model.seed,
    }  # fmt: skip
    fitted = {"inputs": model.net.inputs, "classes": model.classes}
    weights = {
        f"{learner.name}.{name}": tensor.detach().cpu().contiguous()
        for learner in model.net.learners
        for name, tensor in learner.layer.state_dict().items()
    }
    if model.readout is not None:
        linear = model.readout.linear
        weights |= {"softmax.weight": linear.weight.detach().cpu(), "softmax.bias": linear.bias.detach().cpu()}
    header = {"seqff_forward_forward": FORMAT, "settings": json.dumps(settings), "fitted": json.dumps(fitted)}
    write_atomically(Path(path), save(weights, metadata=header))


def load_forward_forward(path: str | Path, *, precision: str = "auto", device: str = "auto") -> ForwardForward:
    """Read a net written by `save_forward_forward`; its predictions are the same.

    Args:
        path: file to read.
        precision: precision of the layers' matrix products, "auto", "fp32" or "bf16".
        device: "auto", "cpu" or "cuda".

    Returns:
        The net; `fit` would train it from scratch.

    Raises:
        RunError: the file is missing, damaged, or of another kind.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if header.get("seqff_forward_forward") != FORMAT:
            raise ValueError("not a Forward-Forward net of format 1, which is what this version of seqff reads")
        settings, fitted = json.loads(header["settings"]), json.loads(header["fitted"])
        settings["goodness"] = from_dict(GoodnessConfig, settings["goodness"])
        model = ForwardForward(**settings, precision=precision, device=device)  # type: ignore[arg-type]
        _restore(model, fitted, weights)
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file; it is what save_forward_forward writes") from error
    except (SafetensorError, ConfigError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise RunError(f"{path}: the net cannot be loaded: {' '.join(str(error).split())}") from error
    return model


def _restore(model: ForwardForward, fitted: dict[str, Any], weights: dict[str, Tensor]) -> None:
    sizes = [int(fitted["inputs"]), *model.widths]
    if min(sizes) < 1 or sum(a * b for a, b in pairwise(sizes)) > sum(tensor.numel() for tensor in weights.values()):
        raise ValueError(f"layers of {sizes} hold more weights than the file")
    model.classes = int(fitted["classes"])
    model.net = DenseNet(
        int(fitted["inputs"]), model.widths, model.config, model.optim,
        precision=model.precision, device=model.device, seed=model.seed,
    )  # fmt: skip
    for learner in model.net.learners:
        own = {
            name.removeprefix(f"{learner.name}."): t
            for name, t in weights.items()
            if name.startswith(learner.name + ".")
        }
        learner.layer.load_state_dict(own, strict=True)
    if "softmax.weight" in weights:
        classes, inputs = weights["softmax.weight"].shape
        model.readout = Readout(inputs, classes, lr=1e-3, device=model.device)
        with torch.no_grad():
            model.readout.linear.weight.copy_(weights["softmax.weight"])
            model.readout.linear.bias.copy_(weights["softmax.bias"])
