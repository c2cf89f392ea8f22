"""Monitors of a layer's features, compared with the same layer untrained: rank, spread, dead units."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from seqff.grid_mean import grid_mean
from seqff.objectives.pairwise import masked_mean, squared_distances, unit
from seqff.relation import Relation

UNTRAINED = "untrained_"
"""Prefix of the untrained layer's metrics."""
ROWS = 64
"""Rows of a batch that are inspected: half of the default batch; the cost is about 1.5 % of the training."""
_GRID = 2  # the default of `seqff extract`


def first_rows(relation: Relation, most: int) -> Relation:
    """Return the relation of a batch's first rows, or of all rows if those share a video: rows are sorted by video."""
    if len(relation.other_video) <= most or not bool(relation.other_video[:most, :most].any()):
        return relation
    return Relation(
        relation.positive[(relation.positive < most).all(dim=1)],
        relation.same_video[:most, :most],
        relation.other_video[:most, :most],
        None if relation.real is None else relation.real[:most],
    )


def effective_rank(x: Tensor) -> Tensor:
    """Return the participation ratio of the covariance's eigenvalues, (sum l)^2 / sum l^2.

    It is at most min(N - 1, D): 64 rows cannot show a rank above 63, whatever the number of features.

    Args:
        x: (N, D) float32.

    Returns:
        A scalar; 0 if all rows are equal.

    Reference: Litwin-Kumar et al. 2017, doi:10.1016/j.neuron.2017.01.030.
    """
    x = x - x.mean(dim=0)
    gram = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x  # the same nonzero eigenvalues
    return gram.diagonal().sum().square() / gram.square().sum().clamp(min=1e-30)


def feature_variance(x: Tensor) -> Tensor:
    """Return the standard deviation over the rows of x, (N, D), divided by its root mean square: 0..1, no unit."""
    return (x.var(dim=0, correction=0).mean() / x.square().mean().clamp(min=1e-30)).sqrt()


def dead_units(pooled: Tensor, channels: int) -> Tensor:
    """Return the share of channels with the same mean in every cell of every row: after a ReLU, those that are always
    0.

    Args:
        pooled: (N, C * cells) float, means over the cells of a grid, channel-major.
        channels: C.
    """
    means = pooled.view(len(pooled), channels, -1)
    return (means.amax(dim=(0, 2)) == means.amin(dim=(0, 2))).float().mean()


def health(out: Tensor, z: Tensor | None, relation: Relation) -> dict[str, Tensor]:
    """Return the metrics of one layer on one batch.

    Args:
        out: (N, C, H, W), the layer's map.
        z: (N, D) float32, the head's output; if None, the pooled map is used.
        relation: relation between the N rows; synthetic rows are ignored.

    Returns:
        Scalars: `effective_rank` and `feature_variance` of the map pooled to 2 x 2, `dead_units`, and mean squared
        distances of normalized embeddings, 0..4: `spread_positive`, of positives; `spread_same_video` and
        `spread_other_video`, of distant frames of a video and of frames of different videos.
    """
    pooled = grid_mean(out.float(), _GRID).flatten(1)
    d = squared_distances(unit(pooled if z is None else z))  # synthetic rows have no relations
    positive = d[relation.positive[:, 0], relation.positive[:, 1]]
    if relation.real is not None:
        pooled = pooled[relation.real]
    return {
        "effective_rank": effective_rank(pooled),
        "feature_variance": feature_variance(pooled),
        "dead_units": dead_units(pooled, out.shape[1]),
        "spread_positive": positive.sum() / max(len(positive), 1),
        "spread_same_video": masked_mean(d, relation.same_video),
        "spread_other_video": masked_mean(d, relation.other_video),
    }


class LayerMonitor:
    """Compares a layer with a copy of it and its head, made at construction, before the first step.

    Both get the same input, so that an uninformative batch or a collapsed layer below is not blamed on this layer.

    Attributes:
        due: whether to inspect the layer at the next loss.
    """

    def __init__(self, layer: nn.Module, head: nn.Module) -> None:
        self.layer, self.head = copy.deepcopy(layer).requires_grad_(False), copy.deepcopy(head).requires_grad_(False)
        self.due = False

    @torch.no_grad()
    def look(
        self, h: Tensor, out: Tensor, z: Tensor | None, relation: Relation, precision: AbstractContextManager[object]
    ) -> dict[str, Tensor]:
        """Return the metrics of `health` for some rows, with those of the untrained layer as `untrained_...`."""
        relation = first_rows(relation, ROWS)
        rows = len(relation.other_video)
        with precision:
            before = self.layer(h[:rows])
            z_before = None if z is None else self.head(before).float()[:, : z.shape[1]]
        metrics = health(out[:rows], None if z is None else z[:rows], relation)
        return metrics | {UNTRAINED + name: value for name, value in health(before, z_before, relation).items()}
