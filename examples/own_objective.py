"""Your own objective: a loss on one layer's embeddings, trained and logged like seqff's objectives.

It generates 16 small clips and takes a few seconds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

import seqff
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.objectives import OBJECTIVES, Objective
from seqff.pairs import Relation
from seqff.pairs.synthetic import ClipSettings, write_digit_clips


class SoftTriplet(Objective):
    """softplus(d(a, positive) - d(a, negative)), averaged over all positive pairs and all negatives of their anchors.

    The soft-margin triplet loss of Hermans, Beyer, Leibe 2017, arXiv:1703.07737. There is no margin to choose.
    Embeddings are normalized, so that shrinking all of them has no effect.
    """

    # An objective is a torch module. Its weights are trained with the layer, and its buffers saved in checkpoints; this
    # one has neither. `sees` selects the input of forward, by default the head's embeddings.
    sees = "embedding"

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and metrics for metrics.jsonl.

        Args:
            z: (N, D) float32, one row per frame of the batch.
            relation: `positive`, (P, 2) pairs of rows; `same_video` and `other_video`, (N, N) bool, negatives.
        """
        u = F.normalize(z, dim=1)
        d = 2 - 2 * u @ u.T
        anchor, other = relation.positive.T
        wrong = (relation.same_video | relation.other_video)[anchor]  # (P, N), the negatives of each anchor
        beyond = d[anchor, other][:, None] - d[anchor]
        loss = (F.softplus(beyond) * wrong).sum() / wrong.sum().clamp(min=1)
        told_apart = ((beyond < 0) & wrong).sum() / wrong.sum().clamp(min=1)
        return loss, {"told_apart": told_apart.detach()}


def main() -> None:
    """Register the objective, train with it, and print its metrics."""
    folder = Path(tempfile.mkdtemp(prefix="seqff-example-"))
    write_digit_clips(folder / "videos", clips=16, settings=ClipSettings(size_px=48, frames=16))

    # The registered name can be used in settings. The function is called once for every layer; `layer` has the layer's
    # tolerance, channels and embedding size, if the objective needs them. A run can only be resumed where the name is
    # registered, so keep these lines in a module that your scripts import.
    OBJECTIVES["soft_triplet"] = lambda config, layer: SoftTriplet()

    # Terms are summed: `name`, `name:weight`, or `name:w1,w2,...` with a weight for every layer.
    config = TrainConfig(
        steps=10,
        log_every=10,
        pairs=PairsConfig(size_px=48, videos_per_batch=8),
        encoder=EncoderConfig(widths=(16, 32, 64), kernels=(7, 3, 3), strides=(2, 1, 1), pools=(1, 2, 2)),
        objective=ObjectiveConfig(terms=("soft_triplet", "vicreg:0.01")),
    )
    run = seqff.train(folder / "videos", out=folder / "run", config=config)
    for layer in ("layer1", "layer2", "layer3"):
        loss, share = run.metrics[f"{layer}/soft_triplet_loss"], run.metrics[f"{layer}/told_apart"]
        print(f"{layer}: soft triplet loss {loss:.2f}, {share:.0%} of the negatives farther than the positive")


if __name__ == "__main__":
    main()
