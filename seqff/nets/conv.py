"""The plain conv net, and building any encoder from its settings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seqff.config import EncoderConfig
from seqff.grid_mean import relu_grid_mean
from seqff.nets.backbones import STAGES, build_backbone
from seqff.nets.encoder import Encoder, LayerInfo
from seqff.nets.norms import build_norm
from seqff.nets.timm_models import PREFIX, build_timm
from seqff.transform import FrameTransform


class ConvLayer(nn.Module):
    """One locally trained layer: norm of the input, convolution, max pooling, ReLU.

    Pooling comes before the ReLU: with max pooling the order does not matter, and the ReLU runs on fewer values.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        kernel: side of the convolution, odd; the input is padded so that only the stride determines the output's size.
        stride: stride of the convolution.
        pool: side of the pooling cells, 1 for none.
        norm: name of the normalization of the input (see `seqff.nets.norms`).
        generator: source of the initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        pool: int = 1,
        norm: str = "layer",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.norm = build_norm(norm, in_channels)
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=kernel // 2)
        self.pool = pool
        deviation = math.sqrt(2.0 / (kernel * kernel * in_channels))  # He et al. 2015, arXiv:1502.01852, fan in
        nn.init.normal_(self.conv.weight, std=deviation, generator=generator)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, channels, H / (stride * pool), W / (stride * pool)), non-negative."""
        x = self.conv(self.norm(x))
        if self.pool > 1:
            x = F.max_pool2d(x, self.pool)
        return F.relu(x, inplace=True)

    def forward_pooled(self, x: Tensor, grid: int) -> tuple[Tensor, Tensor]:
        """Run the layer if only the mean of its output over a grid needs a gradient.

        Args:
            x: (N, in_channels, H, W).
            grid: cells along each side.

        Returns:
            The output of `forward` without its graph, and its `grid_mean` with a graph.
        """
        return relu_grid_mean(self.conv(self.norm(x)), grid, pool=self.pool)


def build_conv(config: EncoderConfig, transform: FrameTransform, *, seed: int = 0) -> Encoder:
    """Build the plain conv encoder with weights initialized from the seed.

    Args:
        config: widths, kernels, strides, pools and norm.
        transform: transform of the input; kept as `encoder.transform`.
        seed: seed of the initial weights; the same seed gives the same weights.

    Raises:
        ValueError: settings of different lengths, an even kernel, or an empty last map.
    """
    _check(config, transform)
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    info: list[LayerInfo] = []
    in_channels, reduction = 3, 1
    settings = zip(config.widths, config.kernels, config.strides, config.pools, strict=True)
    for number, (width, kernel, stride, pool) in enumerate(settings, start=1):
        norm = config.norm if layers else "none"
        layers.append(
            ConvLayer(in_channels, width, kernel=kernel, stride=stride, pool=pool, norm=norm, generator=generator)
        )
        reduction *= stride * pool
        info.append(LayerInfo(f"layer{number}", width, reduction))
        in_channels = width
    return Encoder(layers, info, transform, config)


def _check(config: EncoderConfig, transform: FrameTransform) -> None:
    """Raise ValueError unless the settings fit each other and the input."""
    for name in ("kernels", "strides", "pools"):
        values = getattr(config, name)
        if len(values) != len(config.widths):
            raise ValueError(
                f"encoder: {len(config.widths)} widths {config.widths} but {len(values)} {name} {values}: "
                "give one a layer"
            )
        if min(values, default=1) < 1:
            raise ValueError(f"encoder.{name} must be at least 1, got {values}")
    if not config.widths or min(config.widths) < 1:
        raise ValueError(f"encoder.widths must name at least one layer of at least one channel, got {config.widths}")
    if any(kernel % 2 == 0 for kernel in config.kernels):
        raise ValueError(f"encoder.kernels must be odd, got {config.kernels}")
    if math.prod(config.strides) * math.prod(config.pools) > min(transform.height, transform.width):
        raise ValueError(
            f"encoder: strides {config.strides} and pools {config.pools} leave nothing of "
            f"{transform.height}x{transform.width} px"
        )


def build_encoder(config: EncoderConfig, transform: FrameTransform, *, seed: int = 0) -> Encoder:
    """Build an encoder with weights initialized from the seed, or read from `config.weights`.

    Args:
        config: the network and its settings.
        transform: transform of the input; kept as `encoder.transform`.
        seed: seed of the initial weights; the same seed gives the same weights.

    Raises:
        ValueError: settings that do not fit each other or the input, or a network that settings alone cannot build.
        RunError: the weights file cannot be read, or belongs to another network.
    """
    if config.name in STAGES:
        return build_backbone(config, transform, seed=seed)
    if config.name.startswith(PREFIX):
        return build_timm(config, transform, seed=seed)
    if config.name != "conv":
        raise ValueError(
            f"encoder.name={config.name} is for your own modules: give seqff.train what "
            "Encoder.from_sequential(...) returns, as init"
        )
    if config.weights:
        raise ValueError(
            f"encoder.weights={config.weights} is for networks of torchvision or timm, encoder.name is conv: to begin "
            "with an encoder of seqff, give its folder as init"
        )
    return build_conv(config, transform, seed=seed)
