"""Similarity of layers, runs and seeds by their features alone: linear CKA, RSA, and effective ranks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from seqff.devices import choose_device
from seqff.display import preformatted
from seqff.errors import RunError
from seqff.features import FeatureStore
from seqff.files import check_file, write_json
from seqff.probes.comparison import tell_apart
from seqff.probes.data import check_same_rows
from seqff.terminal import align, as_lines
from seqff.training.monitors import effective_rank

Matrix = NDArray[np.float64]
LEAST_ROWS = 4
"""The unbiased estimate of CKA needs four rows."""


@dataclass(frozen=True)
class Similarity:
    """Pairwise comparison of feature arrays.

    Args:
        names: names of the arrays, prefixed by their store if there are several.
        cka: (arrays, arrays) linear CKA by unbiased estimates: 1 for equal up to rotation and scale, about 0 for
            unrelated. With the biased estimate, wide features of few rows look similar by chance.
        rsa: (arrays, arrays) Spearman correlation of the distances between all pairs of rows.
        ranks: effective rank of each array.
        rows: number of rows used.
    """

    names: tuple[str, ...]
    cka: Matrix
    rsa: Matrix
    ranks: tuple[float, ...]
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; null for arrays that are constant."""
        cka, rsa = (
            [[x if np.isfinite(x) else None for x in row] for row in matrix.tolist()] for matrix in (self.cka, self.rsa)
        )
        ranks = dict(zip(self.names, self.ranks, strict=True))
        return {"names": list(self.names), "rows": self.rows, "cka": cka, "rsa": rsa, "effective_rank": ranks}

    def table(self) -> str:
        """Effective ranks, and both matrices in one: CKA above the diagonal, RSA below."""
        rows = [["features", "effective rank", *(f"({n})" for n in range(1, len(self.names) + 1))]]
        for number, (name, rank) in enumerate(zip(self.names, self.ranks, strict=True)):
            values = np.where(np.arange(len(self.names)) > number, self.cka[number], self.rsa[number])
            cells = [
                "1" if place == number else f"{value:.2f}".replace("nan", "-") for place, value in enumerate(values)
            ]
            rows.append([f"({number + 1}) {name}", f"{rank:.1f}", *cells])
        return as_lines([f"{self.rows} rows; above the diagonal linear CKA, below it RSA", *align(rows)])

    def _repr_html_(self) -> str:
        """The table as HTML, for notebooks."""
        return preformatted(self.table())


def similarity(
    features: Sequence[str | os.PathLike[str]],
    *,
    layers: Sequence[str | int] = (),
    rows: int = 1000,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> Similarity:
    """Compare layers within a store and across stores (runs, seeds) of the same videos.

    Args:
        features: one or more feature stores with the same rows.
        layers: names of arrays, or indices of layers (0 is the first, -1 the last); None uses all.
        rows: maximum number of rows; more are subsampled at random. Memory and time grow with the square.
        out: file for the numbers as JSON; None writes none.
        seed: seed of the subsampling.
        device: "auto", "cpu" or "cuda": device for matrix products.
        overwrite: replace an existing file.

    Raises:
        RunError: the stores do not hold the same rows, they have too few rows, or the file exists.
        ValueError: there is no such array.

    Reference: CKA, Kornblith et al. 2019, arXiv:1905.00414, with the unbiased HSIC of Song et al. 2012; RSA,
        Kriegeskorte et al. 2008, doi:10.3389/neuro.06.004.2008, on Pearson distances; effective rank: see
        `seqff.training.monitors.effective_rank`.
    """
    target = choose_device(device)
    file = None if out is None else check_file(Path(out), (), overwrite=overwrite)
    if not features:
        raise ValueError("no features given; give one store or more")
    stores = [FeatureStore.open(path) for path in features]
    check_same_rows(stores)
    total = len(stores[0])
    if total < LEAST_ROWS or rows < LEAST_ROWS:
        raise RunError(f"{min(total, rows)} rows are too few to compare features on; {LEAST_ROWS} is the least")
    taken = np.sort(np.random.default_rng(seed).permutation(total)[:rows])
    prefixes = [f"{name}:" for name in tell_apart([Path(path) for path in features])] if len(stores) > 1 else [""]
    pairs = [
        (store, prefix, store.name_of(name))
        for store, prefix in zip(stores, prefixes, strict=True)
        for name in layers or store.names
    ]
    names, grams, distances, ranks = [], [], [], []
    for store, prefix, name in pairs:
        x = torch.from_numpy(np.asarray(store.array(name)[taken], dtype=np.float64)).to(target)
        names.append(prefix + name)
        grams.append(_hollow_gram(x))
        distances.append(_ranked_distances(x))
        ranks.append(float(effective_rank(x)))
    cka, rsa = _pairwise(grams), _pairwise(distances)
    found = Similarity(tuple(names), cka, rsa, tuple(ranks), len(taken))
    if file is not None:
        write_json(file, found.to_dict())
    return found


def _hollow_gram(x: torch.Tensor) -> torch.Tensor:
    """Gram matrix of centered rows, U-centered with zero diagonal: inner products of two are unbiased HSIC.

    Reference: Szekely, Rizzo 2014, doi:10.1214/14-AOS1255, section 3.
    """
    x = x - x.mean(dim=0)
    gram = x @ x.T
    gram.fill_diagonal_(0)
    n = len(gram)
    sums = gram.sum(dim=1)
    gram = gram - (sums[:, None] + sums[None, :]) / (n - 2) + sums.sum() / ((n - 1) * (n - 2))
    return gram.fill_diagonal_(0)


def _ranked_distances(x: torch.Tensor) -> torch.Tensor:
    """Centered ranks, (n (n - 1) / 2,), of 1 - Pearson correlation between the features of every two rows."""
    x = x - x.mean(dim=1, keepdim=True)
    x = torch.nn.functional.normalize(x, dim=1)
    above = torch.triu_indices(len(x), len(x), offset=1, device=x.device)
    distances = (1 - x @ x.T)[above[0], above[1]].cpu().numpy()
    ranks = rankdata(np.round(distances, 12))  # so that rounding errors do not break ties
    return torch.from_numpy(ranks - ranks.mean())


def _pairwise(parts: Sequence[torch.Tensor]) -> Matrix:
    """Cosines between all pairs; NaN for constant arrays."""
    products = np.array([[float((one * two).sum()) for two in parts] for one in parts])
    power = products.diagonal()
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines: Matrix = products / np.sqrt(np.outer(power, power))
    cosines[~(power > 0), :] = np.nan
    cosines[:, ~(power > 0)] = np.nan
    return cosines
