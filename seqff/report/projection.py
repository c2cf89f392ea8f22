"""Project features to two dimensions for drawing."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seqff.errors import SeqffError

Projection = Literal["pca", "tsne", "umap"]
Points = NDArray[np.float64]


def principal_axes(x: NDArray[np.float64]) -> tuple[Points, tuple[float, float]]:
    """Return rows on their first two principal axes, (N, 2), and the share of variance along each.

    Args:
        x: (N, D), N >= 2.
    """
    x = x - x.mean(axis=0)
    left, size, right = np.linalg.svd(x, full_matrices=False)
    size = np.concatenate([size, np.zeros(2)])[:2] if len(size) < 2 else size
    left = np.concatenate([left, np.zeros((len(x), 2))], axis=1)
    points: Points = left[:, :2] * size[:2]
    for column in range(min(2, len(right))):  # the sign of an axis is arbitrary: make it the same on all machines
        points[:, column] *= np.sign(right[column][np.abs(right[column]).argmax()]) or 1.0
    total = max(float(np.square(size).sum()), 1e-30)
    return points, (float(size[0] ** 2 / total), float(size[1] ** 2 / total))


def fit(points: Points, side: float, edge: float) -> Points:
    """Translate and scale points, (N, 2), into a square of a drawing, y up, with equal scales.

    Args:
        points: the points.
        side: side of the square.
        edge: margin on every side.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (side - 2 * edge) / max(float((high - low).max()), 1e-9)
    placed: Points = side / 2 + (points - (low + high) / 2) * scale * np.array([1.0, -1.0])
    return placed


def standardize(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale every column of (N, D) to mean 0 and variance 1; constant columns become 0."""
    x = x.astype(np.float64)
    spread = x.std(axis=0)
    scaled: NDArray[np.float64] = (x - x.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
    return scaled


def project(x: NDArray[np.floating], kind: Projection, *, seed: int) -> tuple[Points, str]:
    """Lay out rows in a plane.

    Args:
        x: (N, D) features.
        kind: "pca", "tsne" (scikit-learn) or "umap" (if umap-learn is installed).
        seed: seed of t-SNE and UMAP.

    Returns:
        (N, 2) points, and a description.

    Raises:
        ValueError: an unknown kind.
        SeqffError: umap-learn is not installed.
    """
    x = standardize(x)
    if kind == "pca" or len(x) < 5:
        points, (first, second) = principal_axes(x)
        return points, f"{first:.0%} and {second:.0%} of the variance"
    if kind == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(x) - 1) / 3)
        layout = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)
        return np.asarray(layout, dtype=np.float64), f"t-SNE, perplexity {perplexity:.0f}"
    if kind == "umap":
        neighbors = min(15, len(x) - 1)
        layout = _umap().UMAP(n_neighbors=neighbors, random_state=seed).fit_transform(x)
        return np.asarray(layout, dtype=np.float64), f"UMAP, {neighbors} neighbors"
    raise ValueError(f"projection {kind!r}: choose from pca, tsne, umap")


def check_projection(kind: Projection) -> None:
    """Raise the errors of `project` about the kind before any work is done."""
    if kind not in ("pca", "tsne", "umap"):
        raise ValueError(f"projection {kind!r}: choose from pca, tsne, umap")
    if kind == "umap":
        _umap()


def _umap() -> Any:
    try:
        import umap
    except ImportError as error:
        raise SeqffError("a UMAP map needs umap-learn: pip install umap-learn; or take pca or tsne") from error
    return umap
