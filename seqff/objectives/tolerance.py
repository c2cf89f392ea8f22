"""Tolerances delta_l: the distance that positives may have without cost."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from seqff.config import Tolerances

FALLING = (0.2, 0.1)
"""Distances of the first and the last layer, in geometric steps in between."""
QUANTILES = (0.5, 0.3)
"""Calibrated tolerances: fraction of positives within the tolerance, in the first and the last layer."""
MOMENTUM = 0.95
"""Calibrated tolerances: weight of the past in the running estimate."""


class Tolerance(nn.Module):
    """The distance that positives may have without cost: a fixed number, or a running quantile of their distances.

    Args:
        value: the distance, or None to measure it.
        quantile: fraction of the distances below the tolerance, 0..1; ignored for a fixed value.

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
        """Update the estimate with the distances of a batch and return it, a scalar tensor.

        The first batch sets the estimate, unless a calibration has; a fixed value does not change. Nothing is copied to
        the host.

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
        """Collect all distances from now on, for `finish_calibration`."""
        self._gathered = []

    def finish_calibration(self) -> None:
        """Set the estimate to the quantile of the collected distances, and stop collecting."""
        distances = torch.cat(self._gathered or [self.value.new_empty(0)])
        if distances.numel():
            self.value = torch.nanquantile(distances, self.quantile).to(self.value.device)
        self._gathered = None


def calibrated(modules: Iterable[nn.Module]) -> list[Tolerance]:
    """Return the calibrated tolerances in some modules, in a fixed order."""
    found = (part for module in modules for part in module.modules())
    return [part for part in found if isinstance(part, Tolerance) and part.calibrated]


def build_tolerances(tolerance: Tolerances, layers: int) -> list[Tolerance]:
    """Build the tolerance of every layer, bottom to top.

    Args:
        tolerance: a distance for all layers, a list of one for each, "falling" or "calibrated".
        layers: number of layers.

    Raises:
        ValueError: a distance below 0, a list of the wrong length, or an invalid value.
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
