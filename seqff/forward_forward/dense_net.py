"""A stack of fully connected layers, each with its own goodness and optimizer, and a softmax on their activities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.config import GoodnessConfig, OptimConfig
from seqff.nets.norms import EPSILON
from seqff.objectives import WeightedSum
from seqff.objectives.goodness import Goodness, goodness
from seqff.relation import Relation
from seqff.training.learner import LayerLearner


def length_norm(x: Tensor) -> Tensor:
    """Give every row a mean square of 1, which keeps the direction of a layer's activities but not their goodness.

    Args:
        x: (N, D) float.

    Returns:
        (N, D), the dtype of x; zero rows stay zero.

    Reference: Hinton 2022, arXiv:2212.13345, section 2.1.
    """
    return x * torch.rsqrt(x.float().square().mean(dim=1, keepdim=True) + EPSILON).to(x.dtype)


class DenseLayer(nn.Module):
    """Length normalization of the input, linear map, ReLU.

    Args:
        inputs: D of the input.
        units: D of the output.
        generator: source of the initial weights.
    """

    def __init__(self, inputs: int, units: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, units)
        nn.init.normal_(self.linear.weight, std=math.sqrt(1 / inputs), generator=generator)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, units), non-negative."""
        return F.relu(self.linear(length_norm(x)), inplace=True)


class DenseNet:
    """Layers that are trained on the same rows at every step, bottom to top.

    Args:
        inputs: D, size of a row.
        widths: units of every layer.
        config: goodness and loss of all layers.
        optim: optimizer of every layer.
        precision: precision of the matrix products.
        device: device of the net.
        seed: seed of the initial weights.
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

    def update(self, real: Tensor, synthetic: Tensor, *, lr: float) -> dict[str, Tensor]:
        """Take one step with every layer.

        Args:
            real: (N, D) float32, rows whose goodness should be high.
            synthetic: (N, D) float32, the negative of each of them.
            lr: learning rate of this step.

        Returns:
            Detached scalars, `layer/name`.
        """
        h, relation = torch.cat([real, synthetic]), _relation(len(real), real.device)
        metrics: dict[str, Tensor] = {}
        for learner in self.learners:
            learner.set_rate(lr)
            h = learner.update(h, relation)
            metrics |= {f"{learner.name}/{name}": value for name, value in learner.metrics.items()}
        return metrics

    @torch.no_grad()
    def features(self, h: Tensor, *, first: int = 0) -> Tensor:
        """Return concatenated normalized activities of the layers from `first` on (0 is the lowest), (N, D) float32."""
        found = []
        for learner in self.learners:
            h = learner.run_layer(h)
            found.append(length_norm(h.float()))
        return torch.cat(found[first:], dim=1)

    @torch.no_grad()
    def goodness(self, h: Tensor) -> Tensor:
        """Return the goodness of every row at every layer: (N, D) -> (N, L) float32."""
        found = []
        for learner in self.learners:
            h = learner.run_layer(h)
            found.append(goodness(h.float(), self.config.form))
        return torch.stack(found, dim=1)


def _relation(count: int, device: torch.device) -> Relation:
    """Return the relation of `count` real rows and their negatives, without temporal relations."""
    nowhere = torch.zeros(2 * count, 2 * count, dtype=torch.bool, device=device)
    real = torch.arange(2 * count, device=device) < count
    return Relation(torch.empty(0, 2, dtype=torch.int64, device=device), nowhere, nowhere, real)


class Readout:
    """A linear softmax with its optimizer.

    Args:
        inputs: D, size of the features.
        classes: K.
        lr: peak learning rate of AdamW.
        device: device of the weights.
    """

    def __init__(self, inputs: int, classes: int, *, lr: float, device: torch.device | str = "cpu") -> None:
        self.linear = nn.Linear(inputs, classes, device=device)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.optimizer = torch.optim.AdamW(self.linear.parameters(), lr=lr, weight_decay=0.0, fused=True)

    def probabilities(self, features: Tensor) -> Tensor:
        """Return the probability of every class: (N, D) float32 -> (N, K) float32."""
        with torch.no_grad():
            return torch.softmax(self.linear(features), dim=1)

    def update(self, features: Tensor, y: Tensor, *, lr: float) -> Tensor:
        """Take one step of cross-entropy; return the probabilities from before it, (N, K) float32.

        Args:
            features: (N, D) float32; no gradient flows into them.
            y: (N,) int64, classes.
            lr: learning rate of this step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        logits = self.linear(features.detach())
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return torch.softmax(logits.detach(), dim=1)
