"""A stack of fully connected layers, each with its own goodness and optimiser."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqff.config import GoodnessConfig, OptimConfig
from seqff.nets.dense import DenseLayer, length_norm
from seqff.objectives import WeightedSum
from seqff.objectives.goodness import Goodness, goodness
from seqff.relation import Relation
from seqff.training.learner import LayerLearner


class DenseNet:
    """Layers that learn from the same rows at every step, bottom to top.

    Args:
        inputs: D, size of a row.
        widths: units of every layer.
        config: form of the goodness and loss of all layers.
        optim: of every layer.
        precision: of the matrix products.
        device: where it computes.
        seed: of the initial weights.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        config: GoodnessConfig,
        optim: OptimConfig,
        *,
        precision: torch.dtype,
        device: torch.device,
        seed: int,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs, self.config = inputs, config
        self.learners: list[LayerLearner] = []
        for number, units in enumerate(widths, start=1):
            layer = DenseLayer(inputs, units, generator=generator).to(device)
            objective = WeightedSum({"goodness": (Goodness(config), 1.0)})
            self.learners.append(LayerLearner(f"layer{number}", layer, nn.Identity(), objective, optim, precision))
            inputs = units

    def update(self, real: Tensor, made_up: Tensor, *, lr: float) -> dict[str, Tensor]:
        """Take one step with every layer.

        Args:
            real: (N, D) float32, rows whose goodness is to be high.
            made_up: (N, D) float32, the negative of each of them.
            lr: learning rate of this step.

        Returns:
            Detached scalars, `layer/name`.
        """
        h, relation = torch.cat([real, made_up]), _relation(len(real), real.device)
        figures: dict[str, Tensor] = {}
        for learner in self.learners:
            learner.set_rate(lr)
            h = learner.update(h, relation)
            figures |= {f"{learner.name}/{name}": value for name, value in learner.figures.items()}
        return figures

    @torch.no_grad()
    def features(self, h: Tensor, *, first: int = 0) -> Tensor:
        """Activities of the layers from number `first` on (0 is the lowest), each at mean square 1: (N, D) float32."""
        found = []
        for learner in self.learners:
            h = learner.run_layer(h)
            found.append(length_norm(h.float()))
        return torch.cat(found[first:], dim=1)

    @torch.no_grad()
    def goodness(self, h: Tensor) -> Tensor:
        """Goodness of every row at every layer: (N, D) -> (N, L) float32."""
        found = []
        for learner in self.learners:
            h = learner.run_layer(h)
            found.append(goodness(h.float(), self.config.form))
        return torch.stack(found, dim=1)


def _relation(count: int, device: torch.device) -> Relation:
    """`count` real rows, then their negatives; none is close or far in time."""
    nowhere = torch.zeros(2 * count, 2 * count, dtype=torch.bool, device=device)
    real = torch.arange(2 * count, device=device) < count
    return Relation(torch.empty(0, 2, dtype=torch.int64, device=device), nowhere, nowhere, real)
