"""The check without labels: do features identify a frame's video, and do distances follow time?"""

from __future__ import annotations

import itertools
from contextlib import closing

import torch
from torch import Tensor

from seqff.grid_mean import grid_mean
from seqff.nets import Encoder
from seqff.pairs import PairStream, distances
from seqff.training.monitors import UNTRAINED
from seqff.training.trainer import Callback, StepReport

BATCHES = 4
"""Number of held-out batches; with the default settings they cover 64 videos, each in one batch."""
ROWS = 64
"""Frames encoded at a time, few enough to need less memory than a step."""
HELD_ASIDE = 10**6
"""Number of the round of videos for held-out batches, which no training reaches."""
_GRID = 2  # the default of `seqff extract`


def retrieval(d: Tensor, distant: Tensor, other: Tensor) -> Tensor:
    """Return the share of frames whose nearest neighbor, excluding frames close in time, is from the same video.

    Args:
        d: (N, N) float, distances.
        distant: (N, N) bool, frames of the same video at least `far` apart.
        other: (N, N) bool, frames of different videos.

    Returns:
        A scalar; NaN if no frame has both kinds.
    """
    own, others = (d.masked_fill(~mask, torch.inf).amin(dim=1) for mask in (distant, other))
    asked = own.isfinite() & others.isfinite()
    return (own < others)[asked].float().mean()


def time_order(d: Tensor, same: Tensor, time: Tensor) -> Tensor:
    """Return the share of triples of frames of one video in which the frame closer in time is also closer in features.

    Args:
        d: (N, N) float, distances.
        same: (N, N) bool, frames of the same video.
        time: (N,) times of the frames, in any unit.

    Returns:
        A scalar, 0.5 by chance; NaN if there is no such triple.
    """
    apart = (time[:, None] - time).abs()
    right, count = d.new_zeros(()), d.new_zeros(())
    for row in range(len(d)):
        places = (same[row] & (apart[row] > 0)).nonzero()[:, 0]
        near = apart[row, places][:, None] < apart[row, places]
        right += (near & (d[row, places][:, None] < d[row, places])).sum()
        count += near.sum()
    return right / count


class LabelFreeCheck(Callback):
    """Evaluates the layers of an encoder on held-out frames, compared with the untrained encoder.

    A layer's map is averaged over 2 x 2 cells, each feature standardized over the frames; distances are Euclidean.
    """

    def __init__(
        self, stream: PairStream, encoder: Encoder, untrained: Encoder, precision: torch.dtype, *, steps: int
    ) -> None:
        self.encoder, self.steps = encoder, steps
        self.precision, self.transform = precision, stream.transform
        _, far, unit = distances(stream.config)
        frames, video, time = [], [], []
        with closing(stream.plain().batches(HELD_ASIDE * stream.plan.batches_per_round)) as batches:  # type: ignore[type-var]
            for batch in itertools.islice(batches, BATCHES):
                frames.append(stream.transform.unscale(batch.frames))
                video.append(batch.video)
                time.append(batch.time if batch.seconds is None or unit == "frames" else batch.seconds)
        self.frames, self.time = torch.cat(frames), torch.cat(time)
        of = torch.cat(video)
        self.same = of[:, None] == of
        self.distant = self.same & ((self.time[:, None] - self.time).abs() >= far)
        self.untrained = self.measure(untrained)

    @torch.no_grad()
    def measure(self, encoder: Encoder) -> dict[str, dict[str, float]]:
        """Return `retrieval` and `time_order` of every layer; NaNs are omitted."""
        device = next(encoder.parameters()).device
        learning, kept = encoder.training, list[list[Tensor]]()
        encoder.eval()
        for part in self.frames.split(ROWS):  # type: ignore[no-untyped-call]
            x = self.transform.scale(part).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.precision is torch.bfloat16):
                kept.append([grid_mean(map_.float(), _GRID).flatten(1).cpu() for map_ in encoder(x)])
        encoder.train(learning)
        found = {}
        for info, parts in zip(encoder.feature_info, zip(*kept, strict=True), strict=True):
            x = torch.cat(parts)
            x = (x - x.mean(dim=0)) / x.std(dim=0).clamp(min=1e-6)
            d = torch.cdist(x, x)
            metrics = {
                "retrieval": retrieval(d, self.distant, ~self.same),
                "time_order": time_order(d, self.same, self.time),
            }
            found[info.name] = {key: float(value) for key, value in metrics.items() if bool(value.isfinite())}
        return found

    def after_step(self, report: StepReport) -> None:
        """Add the results of `measure` to the metrics, with those of the untrained net as `untrained_...`."""
        if not due(report.step, self.steps):
            return
        found, report.log = self.measure(self.encoder), True
        for learner in report.trained:
            now, before = found[learner.name], self.untrained[learner.name]
            both = now | {UNTRAINED + name: value for name, value in before.items()}
            learner.metrics |= {name: torch.tensor(value) for name, value in both.items()}


def due(step: int, steps: int) -> bool:
    """Return whether to check after this step: after each quarter of a training whose length is known."""
    return steps > 0 and step in {round(steps * quarter / 4) for quarter in (1, 2, 3, 4)}
