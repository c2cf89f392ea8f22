"""The plain convolutional layer and the encoder made of a stack of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.config import EncoderConfig
from seqff.nets.encoder import Encoder, LayerInfo
from seqff.nets.norms import build_norm
from seqff.transform import FrameTransform


class ConvLayer(nn.Module):
    """One layer that learns by itself: norm of the input, 3x3 convolution, average pooling, ReLU.

    Pooling stands before the ReLU because it is linear: the ReLU then runs on a quarter of the values.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        pool: side of the pooling cells, 1 for none.
        norm: name of the normalisation of the input (see `seqff.nets.norms`).
        generator: source of the initial weights.
    """

    def __init__(
        self, in_channels: int, channels: int, *, pool: int, norm: str, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.norm = build_norm(norm, in_channels)
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.pool = pool
        bound = math.sqrt(2.0 / (9 * in_channels))  # He et al. 2015, arXiv:1502.01852, fan in
        nn.init.normal_(self.conv.weight, std=bound, generator=generator)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H // pool, W // pool), non-negative."""
        x = self.conv(self.norm(x))
        if self.pool > 1:
            x = F.max_pool2d(x, self.pool)
        return F.relu(x, inplace=True)


def build_encoder(config: EncoderConfig, transform: FrameTransform, *, in_channels: int = 3, seed: int = 0) -> Encoder:
    """Build the plain conv encoder with weights drawn from the seed.

    Args:
        config: widths, poolings and norm.
        transform: how frames come in; kept as `encoder.transform`.
        in_channels: channels of the input.
        seed: of the initial weights; the same seed gives the same weights.

    Raises:
        ValueError: the poolings do not match the widths, or leave less than one cell of the input.
    """
    if len(config.pools) != len(config.widths):
        raise ValueError(f"encoder: {len(config.widths)} widths {config.widths} but {len(config.pools)} pools")
    if math.prod(config.pools) > min(transform.height, transform.width):
        raise ValueError(f"encoder: pools {config.pools} leave nothing of {transform.height}x{transform.width} px")
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    info: list[LayerInfo] = []
    reduction = 1
    for number, (width, pool) in enumerate(zip(config.widths, config.pools, strict=True), start=1):
        norm = config.norm if layers else "none"
        layers.append(ConvLayer(in_channels, width, pool=pool, norm=norm, generator=generator))
        reduction *= pool
        info.append(LayerInfo(f"layer{number}", width, reduction))
        in_channels = width
    return Encoder(layers, info, transform, config)
