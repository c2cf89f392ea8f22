"""Random numbers as a function of a counter, so that a buffer of one number is all a checkpoint has to hold."""

from __future__ import annotations

import torch
from torch import Tensor


def lots(first: Tensor, count: int) -> Tensor:
    """Draw `count` numbers; those of (first, first + 1, ...), each a hash of its own number. The host is not asked.

    Args:
        first: scalar int64.
        count: how many.

    Returns:
        (count,) int64, spread evenly over all 64-bit integers.

    Reference: the finalizer of SplitMix64, Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195.
    """
    x = first + torch.arange(count, device=first.device)
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        x = (x ^ (x >> shift & (1 << 64 - shift) - 1)) * factor
    return x ^ (x >> 31 & (1 << 33) - 1)
