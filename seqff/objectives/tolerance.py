"""Tolerances delta_l: how far apart positives may be before a layer must move."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from seqff.config import Tolerances

FALLING = (0.2, 0.1)
"""The distances of the first layer and of the last; by the same factor from layer to layer between them."""
QUANTILES = (0.5, 0.3)
"""Measured: the fraction of the positives within the tolerance, in the first layer and in the last."""
MOMENTUM = 0.95
"""Measured: weight of the past in the running estimate."""


class Tolerance(nn.Module):
    """The distance that positives may keep: a given number, or a quantile of the distances it sees, measured.

    Args:
        value: the distance, or None to measure it.
        quantile: fraction of the distances that should be below, 0..1; ignored for a given value.

    Attributes:
        value: the distance, a scalar; NaN until it is measured.

    Raises:
        ValueError: a distance below 0, or a quantile out of range.
    """

    def __init__(self, value: float | None = None, *, quantile: float = 0.5) -> None:
        super().__init__()
        if value is None and not 0 <= quantile <= 1:
            raise ValueError(f"a quantile of distances is between 0 and 1, got {quantile}")
        if value is not None and not value >= 0:
            raise ValueError(f"objective.tolerance: a tolerance is a squared distance, at least 0, got {value}")
        self.calibrated, self.quantile = value is None, quantile
        self.value: Tensor
        self.register_buffer("value", torch.tensor(float("nan") if value is None else value, dtype=torch.float32))
        self._gathered: list[Tensor] | None = None

    def track(self, distances: Tensor) -> Tensor:
        """Take the distances of a batch into the estimate and return it, a scalar tensor.

        The first batch sets the estimate, unless a calibration has; a given value stays what it is. Nothing is copied
        to the host.

        Args:
            distances: float, of any shape.
        """
        if not self.calibrated:
            return self.value
        seen = distances.detach().float()
        if self._gathered is not None:
            self._gathered.append(seen.flatten().cpu())
        elif seen.numel():
            now = torch.nanquantile(seen, self.quantile)
            self.value = torch.where(torch.isnan(self.value), now, torch.lerp(now, self.value, MOMENTUM))
        return self.value

    def start_calibration(self) -> None:
        """Keep all distances from now on, for `finish_calibration`."""
        self._gathered = []

    def finish_calibration(self) -> None:
        """Set the estimate to the quantile of all distances kept since then, and keep no more."""
        distances = torch.cat(self._gathered or [self.value.new_empty(0)])
        if distances.numel():
            self.value = torch.nanquantile(distances, self.quantile).to(self.value.device)
        self._gathered = None


def calibrated(modules: Iterable[nn.Module]) -> list[Tolerance]:
    """Return the tolerances in some modules that are measured, in a fixed order."""
    found = (part for module in modules for part in module.modules())
    return [part for part in found if isinstance(part, Tolerance) and part.calibrated]


def build_tolerances(tolerance: Tolerances, layers: int) -> list[Tolerance]:
    """Build the tolerance of every layer, bottom to top.

    Args:
        tolerance: a distance for all layers, a list of one for each, "falling" or "calibrated".
        layers: how many.

    Raises:
        ValueError: a distance below 0, a list of the wrong length, or no tolerance at all.
    """
    if tolerance == "calibrated":
        return [Tolerance(quantile=float(q)) for q in np.linspace(*QUANTILES, layers)]
    if tolerance == "falling":
        return [Tolerance(float(value)) for value in np.geomspace(*FALLING, layers)]
    if isinstance(tolerance, (int, float)):
        return [Tolerance(tolerance) for _ in range(layers)]
    if isinstance(tolerance, str):
        raise ValueError(f"objective.tolerance is {tolerance!r}: a number, a list of them, falling or calibrated")
    if len(tolerance) != layers:
        raise ValueError(
            f"objective.tolerance has {len(tolerance)} values {tolerance}, the encoder has {layers} layers: give one "
            "for every layer, or one number for all"
        )
    return [Tolerance(value) for value in tolerance]
