"""Supervised end-to-end training of the same encoder, as an upper bound for probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.devices import choose_device, choose_precision
from seqff.nets import Encoder, load_encoder
from seqff.objectives import WeightedSum
from seqff.relation import Relation
from seqff.training.callbacks.interrupt import stop_between_steps
from seqff.training.learner import LayerLearner
from seqff.training.run_folder import Run, claim_run
from seqff.training.setup import Setup, assemble, begin_with, open_training, prepare, run_settings
from seqff.training.strategies import LocalStrategy
from seqff.video import Manifest
from seqff.video.rows import column


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

    Frames, augmentation, steps, initial weights, optimizer and its schedule are those of `train` with the same settings
    and seed; each frame is classified by the label of its video. Metrics, alarms and checkpoints are those of any
    training, under the name of the last layer. An existing run is resumed.

    Args:
        videos: a folder, or a manifest that `scan` wrote.
        labels: class of every usable video, by path.
        out: the run folder.
        config: settings; those of the objective are ignored.
        seed: of the initial weights, the batches and the augmentation.
        device: "auto", "cpu" or "cuda".
        max_bad: largest share of the videos that may be unreadable.
        progress: show a progress bar (on a terminal).

    Raises:
        SeqffError: the videos or the run folder cannot be used, or the loss is not finite.
        ValueError: a video without a label, or settings that do not fit the videos.
    """
    config, _ = begin_with(None, config or TrainConfig())
    run, target = Path(out), choose_device(device)

    def build_setup(manifest: Manifest, config: TrainConfig) -> Setup:
        encoder, stream = prepare(manifest, config, None, seed=seed, device=target, max_bad=max_bad)
        paths = column(stream.entries, "path").tolist()
        missing = [path for path in paths if path not in labels]
        if missing:
            raise ValueError(f"{missing[0]} has no label, and {len(missing) - 1} more; every video needs one")
        # copies of a file share the number of the first in batches
        learner = _build_classifier(encoder, config, [labels[path] for path in paths], target)
        return Setup(
            config, encoder, [learner], LocalStrategy([learner], steps=config.steps, optim=config.optim), stream
        )

    with claim_run(run):
        settings = run_settings(config, None, seed=seed, supervised=True)
        options = {"resume": True, "overwrite": False, "max_bad": max_bad, "progress": progress}
        setup = open_training(run, videos, settings, config, build_setup, **options)  # type: ignore[arg-type]
        with freed_memory_kept(), stop_between_steps() as stopping:
            trainer, batches = assemble(run, setup, stopping, progress=progress)
            with trainer, closing(batches):
                trainer.fit(batches)
        return Run(run, load_encoder(run), dict(trainer.metrics), trainer.seconds)


def _build_classifier(encoder: Encoder, config: TrainConfig, labels: list[str], device: torch.device) -> LayerLearner:
    """Build one learner for all layers, under the name of the last one."""
    names, last = sorted(set(labels)), encoder.feature_info[-1]
    number = torch.tensor([names.index(label) for label in labels], device=device)
    objective = LabelObjective(last.channels, len(names), number).to(device)
    precision = choose_precision(config.precision, device)
    return LayerLearner(last.name, LastMap(encoder), nn.Identity(), objective, config.optim, precision)


class LastMap(nn.Module):
    """An encoder as a single layer: frames in, last map out."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map: (N, 3, H, W) -> (N, C, H', W')."""
        return self.encoder(x, layers=[-1])[0]  # type: ignore[no-any-return]


class LabelObjective(WeightedSum):
    """Cross-entropy of a linear classifier on the map averaged over space."""

    def __init__(self, channels: int, classes: int, label: Tensor) -> None:
        super().__init__({})
        self.readout = nn.Linear(channels, classes)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)
        self.register_buffer("label", label, persistent=False)

    def forward(
        self, layer: Callable[[Tensor], Tensor], h: Tensor, out: Tensor, z: Tensor | None, relation: Relation
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `WeightedSum`; `accuracy` is the share of frames classified correctly."""
        video = relation.video
        assert video is not None  # batches of videos carry it
        logits, label = self.readout(out.float().mean(dim=(2, 3))), self.get_buffer("label")[video]
        return F.cross_entropy(logits, label), {"accuracy": (logits.detach().argmax(dim=1) == label).float().mean()}
