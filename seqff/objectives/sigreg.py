"""SIGReg: positives attracted, and the embeddings of a batch distributed as an isotropic Gaussian; no negatives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from seqff.objectives.base import Objective
from seqff.objectives.pairwise import views, zero_loss
from seqff.random_streams import hash_integers
from seqff.relation import Relation

DIRECTIONS = 256
"""Number of random projections of the embeddings per step."""


def epps_pulley(x: Tensor) -> Tensor:
    """Return the distance of samples from the standard normal distribution (Epps and Pulley 1983).

    N times the integral over t of |mean_n exp(i t x_n) - exp(-t^2 / 2)|^2 exp(-t^2 / 2), by the trapezoidal rule on 17
    arguments from -5 to 5.

    Args:
        x: (N, M) float32, N values of each of M variables.

    Returns:
        (M,) float32, at least 0; about 1.3 on average for N normal values, proportional to N for N equal values.

    Reference: Balestriero and LeCun 2025 (LeJEPA), arXiv:2511.08544, algorithm 1.
    """
    t = torch.linspace(-5, 5, 17, device=x.device)
    normal = torch.exp(-t.square() / 2)
    turned = x[:, :, None] * t
    error = (turned.cos().mean(dim=0) - normal).square() + turned.sin().mean(dim=0).square()
    return len(x) * torch.trapezoid(error * normal, t, dim=1)


class SIGReg(Objective):
    """LeJEPA's loss as a term of a layer's loss: (1 - weight) * prediction + weight * SIGReg.

    prediction is the mean over dimensions of the squared distance of a positive's two rows from their mean; SIGReg the
    mean of `epps_pulley` over projections of all rows on random directions, redrawn at every step.

    Args:
        weight: weight of SIGReg, 0..1.
        generator: source of the seed for drawing directions.

    Raises:
        ValueError: a weight out of range.

    Reference: Balestriero and LeCun 2025 (LeJEPA), arXiv:2511.08544.
    """

    def __init__(self, weight: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= weight <= 1:
            raise ValueError(f"objective.sigreg.weight must be between 0 and 1, got {weight}")
        self.weight = weight
        self.draw: Tensor  # counts the draws, so that a resumed run draws the same
        self.register_buffer("draw", torch.randint(2**62, (), generator=generator))

    def directions(self, dim: int) -> Tensor:
        """Draw directions of unit length, (dim, DIRECTIONS) float32, a function of the draw counter."""
        count = 2 * dim * DIRECTIONS
        self.draw += count
        uniform = hash_integers(self.draw, count).double() * 2.0**-64 + 0.5
        radius, angle = uniform.clamp(min=1e-12).view(2, dim, -1)
        normal = (-2 * radius.log()).sqrt() * (2 * torch.pi * angle).cos()  # Box and Muller 1958
        return F.normalize(normal.float(), dim=0)

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its unweighted terms, `sigreg_prediction` and `sigreg_distance`."""
        if not len(relation.positive):
            return zero_loss(z, "sigreg_prediction", "sigreg_distance")
        z = z.float()
        x, y = views(z, relation.positive)
        prediction = (x - y).square().mean() / 4
        rows = z if relation.real is None else z[relation.real]
        distance = epps_pulley(rows @ self.directions(z.shape[1])).mean()
        loss = (1 - self.weight) * prediction + self.weight * distance
        return loss, {"sigreg_prediction": prediction.detach(), "sigreg_distance": distance.detach()}
