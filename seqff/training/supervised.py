"""Supervised training end to end: the same encoder taught by labels, the upper bound that probes are read against."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.config_io import to_dict
from seqff.devices import choose_device, choose_precision
from seqff.nets import Encoder, load_encoder
from seqff.objectives import WeightedSum
from seqff.relation import Relation
from seqff.training.assemble import assemble
from seqff.training.callbacks.interrupt import stop_between_steps
from seqff.training.learner import LayerLearner
from seqff.training.run_folder import MANIFEST, Run, check_run, claim_run, recorded_steps
from seqff.training.setup import Setup, open_run, prepare, with_steps
from seqff.training.strategies import LocalStrategy
from seqff.video import scan


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
    and seed; each frame is to be told the label of its video. Metrics, alarms and checkpoints are those of any
    training, under the name of the last layer. A run that is there is gone on with.

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
    with claim_run(run):
        return _train(videos, labels, run, config, seed, target, max_bad=max_bad, progress=progress)


def _train(
    videos: str | Path,
    labels: Mapping[str, str],
    run: Path,
    config: TrainConfig,
    seed: int,
    target: torch.device,
    *,
    max_bad: float,
    progress: bool,
) -> Run:
    config = replace(config, steps=config.steps or recorded_steps(run))
    settings = {"seed": seed, "supervised": True, **to_dict(config)}
    going_on = check_run(run, settings, resume=True, overwrite=False)
    known = run / MANIFEST
    manifest = scan(known if going_on and known.exists() else videos, max_bad=max_bad, progress=progress)
    config = with_steps(config, manifest)
    encoder, stream = prepare(manifest, config, None, seed=seed, device=target, max_bad=max_bad)
    missing = [entry.path for entry in stream.entries if entry.path not in labels]
    if missing:
        raise ValueError(f"{missing[0]} has no label, and {len(missing) - 1} more; every video needs one")
    # copies of a file share the number of the first, which batches carry
    learner = build_classifier(encoder, config, [labels[entry.path] for entry in stream.entries], device=target)
    strategy = LocalStrategy([learner], steps=config.steps, optim=config.optim)
    setup = Setup(config, encoder, [learner], strategy, stream)
    stream.fill_cache(progress=progress)
    open_run(run, {**settings, "steps": config.steps}, manifest, setup, going_on=going_on)
    with freed_memory_kept(), stop_between_steps() as stopping:
        trainer, batches = assemble(run, setup, stopping, progress=progress)
        began = time.monotonic()
        with trainer, closing(batches):
            trainer.fit(batches)
    return Run(run, load_encoder(run), dict(trainer.metrics), time.monotonic() - began)


def build_classifier(encoder: Encoder, config: TrainConfig, labels: list[str], *, device: torch.device) -> LayerLearner:
    """Build the learner of all layers at once, under the name of the last one.

    Args:
        encoder: the net.
        config: optimiser and precision.
        labels: class of every video, by its number in the batches.
        device: where it computes.
    """
    names, last = sorted(set(labels)), encoder.feature_info[-1]
    number = torch.tensor([names.index(label) for label in labels], device=device)
    objective = LabelObjective(last.channels, len(names), number).to(device)
    precision = choose_precision(config.precision, device)
    return LayerLearner(last.name, LastMap(encoder), nn.Identity(), objective, config.optim, precision)


class LastMap(nn.Module):
    """An encoder as one layer: frames in, its last map out.

    Args:
        encoder: the net.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map: (N, 3, H, W) -> (N, C, H', W')."""
        return self.encoder(x, layers=[-1])[0]  # type: ignore[no-any-return]


class LabelObjective(WeightedSum):
    """Cross-entropy of a linear classifier on the map averaged over space.

    Args:
        channels: C.
        classes: K.
        label: (V,) int64, class of every video.
    """

    def __init__(self, channels: int, classes: int, label: Tensor) -> None:
        super().__init__({})
        self.readout = nn.Linear(channels, classes)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)
        self.register_buffer("label", label, persistent=False)

    def forward(
        self, layer: Callable[[Tensor], Tensor], h: Tensor, out: Tensor, z: Tensor | None, relation: Relation
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `WeightedSum`; `accuracy` is the share of the frames that are told right."""
        video = relation.video
        assert video is not None  # batches of videos carry it
        logits, label = self.readout(out.float().mean(dim=(2, 3))), self.get_buffer("label")[video]
        return F.cross_entropy(logits, label), {"accuracy": (logits.detach().argmax(dim=1) == label).float().mean()}
