"""Nearest-neighbor classification: a measure of features that fits no parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqff.probes.estimator import Probe, match
from seqff.probes.preprocessing import Array, fit_scaling

NEIGHBORS = (10, 20, 100, 200)
"""All are reported: picking the best k would be a choice made on the test rows."""
TEMPERATURE = 0.07
CHUNK = 2**24
"""Maximum number of similarities held at a time."""


def knn_votes(
    train: Tensor, y: Tensor, test: Tensor, *, classes: int, ks: Sequence[int], temperature: float = TEMPERATURE
) -> list[Tensor]:
    """Vote of the k training rows with the highest cosine similarity, weighted by exp(cosine / temperature).

    Args:
        train, y, test: (n, D) features, (n,) int64 class numbers, (m, D) features.
        classes: K.
        ks: numbers of neighbors, each at most n.
        temperature: a lower one gives the nearest neighbors more weight.

    Returns:
        For each k, the (m, K) shares of the votes.

    Reference: Wu et al. 2018, arXiv:1805.01978; k and temperature as in DINO, Caron et al. 2021, arXiv:2104.14294.
    """
    train = torch.nn.functional.normalize(train, dim=1)
    found: list[list[Tensor]] = [[] for _ in ks]
    for part in torch.split(test, max(1, CHUNK // len(train))):
        cosine, nearest = torch.topk(torch.nn.functional.normalize(part, dim=1) @ train.T, max(ks), dim=1)
        weight, label = torch.exp((cosine - 1) / temperature), y[nearest]
        for votes, k in zip(found, ks, strict=True):
            share = torch.zeros(len(part), classes, dtype=weight.dtype, device=weight.device)
            share.scatter_add_(1, label[:, :k], weight[:, :k])
            votes.append(share / share.sum(dim=1, keepdim=True))
    return [torch.cat(votes) for votes in found]


class KNNProbe(Probe):
    """Cosine nearest neighbors on standardized features; see `knn_votes`.

    Args:
        n_neighbors: k; if there are fewer training rows, all vote.
        temperature: temperature of the votes.

    Attributes:
        classes_: (K,) labels.
        scaling_: the scaling of the features.
    """

    def __init__(self, n_neighbors: int = 20, *, temperature: float = TEMPERATURE) -> None:
        self.n_neighbors = n_neighbors
        self.temperature = temperature

    def fit(self, X: Array, y: Array) -> KNNProbe:
        """Store the training rows, X (n, D), and their labels, y (n,).

        Raises:
            ValueError: k is below 1, or the temperature is not above 0.
        """
        if self.n_neighbors < 1 or not self.temperature > 0:
            raise ValueError(
                f"n_neighbors must be at least 1 and temperature above 0, got {self.n_neighbors} and {self.temperature}"
            )
        rows, codes = self._training(X, y)
        self.scaling_ = fit_scaling(rows)
        self.rows_ = torch.as_tensor(self.scaling_(rows))
        self.codes_ = torch.as_tensor(codes, device=self.rows_.device)
        return self

    def predict_proba(self, X: Array) -> Array:
        """Share of the votes for each class, (m, K)."""
        return self._like_inputs(self._scores(self._rows(X)), X)

    def votes(self, X: Array, ks: Sequence[int]) -> list[Array]:
        """Share of the votes for several k, each (m, K), at the cost of the largest."""
        return self._votes(self._rows(X), ks)

    def _scores(self, rows: Array) -> Tensor:
        return self._votes(rows, [self.n_neighbors])[0]

    def _votes(self, rows: Array, ks: Sequence[int]) -> list[Tensor]:
        test = torch.as_tensor(self.scaling_(match(rows, self.scaling_.mean)))
        ks = [min(k, len(self.rows_)) for k in ks]
        classes = len(self.classes_)
        return knn_votes(self.rows_, self.codes_, test, classes=classes, ks=ks, temperature=self.temperature)
