"""Tolerances delta_l and margins: how far apart positives may be, and negatives should be, before a layer must move."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from seqff.config import ObjectiveConfig

MOST = 2**24
"""Most numbers that torch.quantile takes."""


def geometric(first: float, last: float, layers: int) -> list[float]:
    """Return delta_l falling (or rising) by the same factor from layer to layer.

    Raises:
        ValueError: an end is not positive.
    """
    if first <= 0 or last <= 0:
        raise ValueError(f"a geometric schedule needs tolerances above 0, got {first} and {last}")
    return [float(value) for value in np.geomspace(first, last, layers)]


def quantile(values: Tensor, share: float) -> Tensor:
    """Return the value that a share of the numbers lies below, not counting NaN; of very many, every n-th is looked at.

    Args:
        values: float, of any shape; NaN stands for no number.
        share: 0..1.

    Returns:
        A float32 scalar, NaN if there is no number at all.
    """
    flat = values.detach().float().flatten()
    return torch.nanquantile(flat[:: -(-len(flat) // MOST)], share) if len(flat) else flat.new_tensor(float("nan"))


class Tolerance(nn.Module):
    """A distance that a loss compares with: a given number, or a quantile of the distances it sees, measured.

    Args:
        value: the distance, or None to measure it.
        quantile: share of the distances that should be below, 0..1; ignored for a given value.
        momentum: weight of the past in the running estimate; 1 to keep the first measurement.

    Attributes:
        value: the distance, a scalar; NaN until it is measured.
    """

    def __init__(self, value: float | None = None, *, quantile: float = 0.5, momentum: float = 0.95) -> None:
        super().__init__()
        if value is None and not 0 <= quantile <= 1:
            raise ValueError(f"a quantile of distances is a share between 0 and 1, got {quantile}")
        if value is not None and value < 0:
            raise ValueError(f"a tolerance is a squared distance, at least 0, got {value}")
        self.calibrated = value is None
        self.quantile, self.momentum = quantile, momentum
        self.value: Tensor
        self.register_buffer("value", torch.tensor(float("nan") if value is None else value, dtype=torch.float32))
        self._gathered: list[Tensor] | None = None

    def track(self, distances: Tensor, mask: Tensor | None = None) -> Tensor:
        """Take the distances of a batch into the estimate and return it, a scalar tensor.

        The first batch sets the estimate, unless a calibration has (see `gather`); a given value stays what it is.
        Nothing is copied to the host.

        Args:
            distances: float, of any shape.
            mask: bool, of the same shape, which of them count; None for all.
        """
        if not self.calibrated:
            return self.value
        seen = distances.detach().float()
        if mask is not None:
            seen = seen.masked_fill(~mask, float("nan"))
        if self._gathered is not None:
            self._gathered.append(seen.flatten().cpu())
        elif seen.numel():
            now = quantile(seen, self.quantile)
            moved = torch.where(torch.isnan(self.value), now, torch.lerp(now, self.value, self.momentum))
            self.value = torch.where(torch.isnan(now), self.value, moved)
        return self.value

    def gather(self) -> None:
        """Keep all distances from now on, for `settle`."""
        self._gathered = []

    def settle(self) -> None:
        """Set the estimate to the quantile of all distances kept since `gather`, and keep no more."""
        if self._gathered:
            self.value = quantile(torch.cat(self._gathered), self.quantile).to(self.value.device)
        self._gathered = None


def calibrated(modules: Iterable[nn.Module]) -> list[Tolerance]:
    """Return the tolerances and margins in some modules that are measured, in a fixed order."""
    found = (part for module in modules for part in module.modules())
    return [part for part in found if isinstance(part, Tolerance) and part.calibrated]


def build_tolerances(config: ObjectiveConfig, layers: int) -> list[Tolerance]:
    """Build the tolerance of every layer, bottom to top.

    Raises:
        ValueError: values out of range, or an explicit list of the wrong length.
    """
    first, last = config.tolerance_range
    if config.tolerance == "constant":
        if first != last:
            raise ValueError(
                f"objective.tolerance=constant with tolerance_range {config.tolerance_range}: give the same number "
                "twice, or choose linear or geometric"
            )
        return [Tolerance(first) for _ in range(layers)]
    if config.tolerance == "linear":
        return [Tolerance(float(value)) for value in np.linspace(first, last, layers)]
    if config.tolerance == "geometric":
        return [Tolerance(value) for value in geometric(first, last, layers)]
    if config.tolerance == "explicit":
        if len(config.tolerances) != layers:
            raise ValueError(
                f"objective.tolerances has {len(config.tolerances)} values {config.tolerances}, "
                f"the encoder has {layers} layers: give one a layer"
            )
        return [Tolerance(value) for value in config.tolerances]
    return [Tolerance(quantile=float(q)) for q in np.linspace(*config.tolerance_quantiles, layers)]


def build_margin(config: ObjectiveConfig) -> Tolerance | float:
    """Build the margin of one layer: the number given, or a quantile of the negatives' distances before training.

    A measured margin then stays: if it followed the distances, these could shrink and take it along.

    Raises:
        ValueError: a quantile that is not a share.
    """
    if not 0 <= config.margin_quantile <= 1:
        raise ValueError(f"objective.margin_quantile is a share between 0 and 1, got {config.margin_quantile}")
    return Tolerance(quantile=config.margin_quantile, momentum=1.0) if config.margin_quantile else config.margin
