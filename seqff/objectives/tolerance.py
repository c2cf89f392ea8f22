"""Tolerances delta_l: how far apart two consecutive frames may be without a layer being told to change."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from seqff.config import ObjectiveConfig


def geometric(first: float, last: float, layers: int) -> list[float]:
    """Return delta_l falling (or rising) by the same factor from layer to layer.

    Raises:
        ValueError: an end is not positive.
    """
    if first <= 0 or last <= 0:
        raise ValueError(f"a geometric schedule needs tolerances above 0, got {first} and {last}")
    return [float(value) for value in np.geomspace(first, last, layers)]


class Tolerance(nn.Module):
    """The tolerance of one layer: a given number, or a quantile of the positive distances, measured and tracked.

    Args:
        value: delta_l, or None to measure it.
        quantile: share of the positives that should be within the tolerance, 0..1; ignored for a given value.
        momentum: weight of the past in the running estimate.
    """

    def __init__(self, value: float | None = None, *, quantile: float = 0.5, momentum: float = 0.95) -> None:
        super().__init__()
        if value is None and not 0 <= quantile <= 1:
            raise ValueError(f"a tolerance quantile is a share between 0 and 1, got {quantile}")
        if value is not None and value < 0:
            raise ValueError(f"a tolerance is a squared distance, at least 0, got {value}")
        self.calibrated = value is None
        self.quantile, self.momentum = quantile, momentum
        self.value: Tensor
        self.register_buffer("value", torch.tensor(float("nan") if value is None else value, dtype=torch.float32))

    def track(self, distances: Tensor) -> Tensor:
        """Take the positive distances of a batch, (P,), into the estimate and return delta_l, a scalar tensor.

        The first batch sets the estimate; a given value stays what it is. Nothing is copied to the host.
        """
        if self.calibrated and len(distances):
            now = torch.quantile(distances.detach().float(), self.quantile)
            moved = torch.lerp(now, self.value, self.momentum)
            self.value = torch.where(torch.isnan(self.value), now, moved)
        return self.value


def build_tolerances(config: ObjectiveConfig, layers: int) -> list[Tolerance]:
    """Build the tolerance of every layer, bottom to top.

    Raises:
        ValueError: values out of range, or an explicit list of the wrong length.
    """
    if config.tolerance == "geometric":
        return [Tolerance(value) for value in geometric(*config.tolerance_range, layers)]
    if config.tolerance == "explicit":
        if len(config.tolerances) != layers:
            raise ValueError(
                f"objective.tolerances has {len(config.tolerances)} values {config.tolerances}, "
                f"the encoder has {layers} layers: give one a layer"
            )
        return [Tolerance(value) for value in config.tolerances]
    return [Tolerance(quantile=float(q)) for q in np.linspace(*config.tolerance_quantiles, layers)]
