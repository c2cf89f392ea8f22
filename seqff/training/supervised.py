"""Supervised training end to end: the same encoder taught by labels, the upper bound that probes are read against."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_device, choose_precision
from seqff.errors import RunError
from seqff.nets import Encoder, load_encoder, save_encoder
from seqff.nets.io import TRAINED
from seqff.pairs import PairStream
from seqff.training.learner import learning_rate
from seqff.training.loop import Run
from seqff.training.optimizers import build_optimizer, set_rate
from seqff.training.run import check_run, claim_run, recorded_steps
from seqff.training.setting_up import open_run, prepare, with_steps
from seqff.video import scan

LOG_EVERY = 10


def train_supervised(
    videos: str | Path,
    labels: Mapping[str, str],
    *,
    out: str | Path,
    config: TrainConfig | None = None,
    seed: int = 0,
    device: str = "auto",
    max_bad: float = 0.05,
    progress: bool = True,
) -> Run:
    """Train the encoder of `train` by backpropagation from a linear classifier on its last map, averaged over space.

    Frames, augmentation, steps, initial weights, optimiser and its schedule are those of `train` with the same settings
    and seed; each frame is to be told the label of its video. A run that is there and finished is taken as it is; one
    that is not is begun again.

    Args:
        videos: a folder, or a manifest that `scan` wrote.
        labels: class by path of the video, for every usable one.
        out: the run folder.
        config: settings; the objective's count for nothing.
        seed: of the initial weights, the batches and the augmentation.
        device: "auto", "cpu" or "cuda".
        max_bad: largest share of the videos that may be unreadable.
        progress: show a progress bar (on a terminal).

    Raises:
        SeqffError: the videos or the run folder cannot be used, or the loss is not finite.
        ValueError: a video without a label, or settings that do not fit the videos.
    """
    config = config or TrainConfig()
    run, target = Path(out), choose_device(device)
    settings = {"seed": seed, "supervised": True, **to_dict(config)}
    with claim_run(run):
        return _train(videos, labels, run, config, settings, seed, target, max_bad=max_bad, progress=progress)


def _train(
    videos: str | Path,
    labels: Mapping[str, str],
    run: Path,
    config: TrainConfig,
    settings: dict[str, Any],
    seed: int,
    target: torch.device,
    *,
    max_bad: float,
    progress: bool,
) -> Run:
    config = replace(config, steps=config.steps or recorded_steps(run))
    settings["steps"] = config.steps
    if check_run(run, settings, resume=True, overwrite=False) and (run / TRAINED).exists():
        return Run(run, load_encoder(run))
    manifest = scan(videos, max_bad=max_bad, progress=progress)
    config = with_steps(config, manifest)
    settings["steps"] = config.steps
    encoder, stream = prepare(manifest, config, None, seed=seed, device=target, max_bad=max_bad)
    missing = [entry.path for entry in stream.entries if entry.path not in labels]
    if missing:
        raise ValueError(f"{missing[0]} has no label, and {len(missing) - 1} more; every video needs one")
    stream.fill_cache(progress=progress)
    open_run(run, settings, manifest, encoder, stream, device=target, going_on=False)
    loss = _take_steps(encoder, stream, labels, config, progress=progress)
    save_encoder(encoder, run)
    return Run(run, load_encoder(run), {"loss": loss})


def _take_steps(
    encoder: Encoder, stream: PairStream, labels: Mapping[str, str], config: TrainConfig, *, progress: bool
) -> float:
    """Take all steps and return the last loss."""
    device = next(encoder.parameters()).device
    names = sorted(set(labels.values()))
    # Copies of a file share the number of the first, which batches carry.
    number = torch.tensor([names.index(labels[entry.path]) for entry in stream.entries], device=device)
    readout = nn.Linear(encoder.feature_info[-1].channels, len(names), device=device)
    nn.init.zeros_(readout.weight)
    nn.init.zeros_(readout.bias)
    parameters = [*encoder.parameters(), *readout.parameters()]
    optimizer = build_optimizer(encoder.parameters(), config.optim, others=readout.parameters())
    half = choose_precision(config.precision, device) is torch.bfloat16
    loss = torch.zeros(())
    bar = tqdm(total=config.steps, unit="step", desc="supervised", disable=None if progress else True)
    with bar:
        for step, batch in enumerate(itertools.islice(stream.batches(), config.steps)):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                h = encoder(batch.frames.to(device, non_blocking=True), layers=[-1])[0]
            error = F.cross_entropy(readout(h.float().mean(dim=(2, 3))), number[batch.video.to(device)])
            error.backward()  # type: ignore[no-untyped-call]
            if config.optim.clip:
                nn.utils.clip_grad_norm_(parameters, config.optim.clip)
            set_rate(optimizer, learning_rate(step, config.steps, config.optim))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss = error.detach()
            bar.update()
            if (step + 1) % LOG_EVERY == 0:
                bar.set_postfix_str(f"loss {_finite(loss):.2f}")
    return _finite(loss)


def _finite(loss: Tensor) -> float:
    """Fetch the loss from the device.

    Raises:
        RunError: it is not a finite number.
    """
    if not bool(torch.isfinite(loss)):
        raise RunError("the supervised loss is not a finite number: lower the learning rate (optim.lr)")
    return float(loss)
