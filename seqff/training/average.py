"""A running average of a layer's weights, which is often a better encoder than the weights of the last step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of the weights and running statistics of one module.

    With decay d the average moves by 1 - min(d, (1 + t) / (10 + t)) of the way at update t: the rising decay forgets
    the initial weights soon, so that short runs are averaged, too.

    Args:
        module: whose weights; its values now are where the average starts.
        decay: weight of the past, 0..1.

    Reference: Polyak, Juditsky 1992; the rising decay is that of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.updates = module, decay, 0
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Each of the module's tensors beside its average."""
        return [(value, self.values[name]) for name, value in self.module.state_dict().items()]

    def update(self) -> None:
        """Move towards the weights as they are now; whole numbers (a count of batches) are copied."""
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for value, average in self._pairs():
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:
                average.copy_(value)

    def settle(self) -> None:
        """Make the average the module's weights."""
        for value, average in self._pairs():
            value.copy_(average)

    def swap(self) -> None:
        """Exchange the average and the module's weights; twice is as if never."""
        for value, average in self._pairs():
            kept = value.clone()
            value.copy_(average)
            average.copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a checkpoint must hold."""
        return {
            **{f"weights/{name}": value for name, value in self.values.items()},
            "updates": torch.tensor(self.updates),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up what `state_dict` gave.

        Raises:
            KeyError: it is of another module, or there is none.
        """
        for name, value in self.values.items():
            value.copy_(state[f"weights/{name}"])
        self.updates = int(state["updates"])


@contextmanager
def averaged(averages: Iterable[WeightAverage | None]) -> Iterator[None]:
    """Let modules have their averages for weights in this block; None stands for a module without."""
    with ExitStack() as stack:
        for average in averages:
            if average is not None:
                average.swap()
                stack.callback(average.swap)
        yield
