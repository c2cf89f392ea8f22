"""The encoder: a stack of layers, each with its features."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqff.config import EncoderConfig
from seqff.config_io import suggest
from seqff.transform import FrameTransform


@dataclass(frozen=True)
class LayerInfo:
    """Output of a layer: its name, its channels, and the input px per cell of its map (the reduction)."""

    name: str
    channels: int
    reduction: int


class Encoder(nn.Module):
    """A stack of locally trained layers, bottom to top.

    Args:
        layers: modules, each (N, C, H, W) -> (N, C', H', W').
        feature_info: one LayerInfo per layer.
        transform: transform from decoded frames to the input.
        config: the settings it was built from, kept for rebuilding it.

    Attributes:
        origin: the folder it was loaded from, which describes its training; None if it was not loaded.
    """

    from_sequential: ClassVar[Callable[..., Encoder]]
    from_pretrained: ClassVar[Callable[..., Encoder]]
    save_pretrained: ClassVar[Callable[..., Path]]  # bound in `seqff.nets`, because their modules import this class

    def __init__(
        self,
        layers: Sequence[nn.Module],
        feature_info: Sequence[LayerInfo],
        transform: FrameTransform,
        config: EncoderConfig,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.feature_info = list(feature_info)
        self.transform = transform
        self.config = config
        self.origin: Path | None = None

    def index_of(self, layer: int | str) -> int:
        """Return the index of a layer given by index (negative counts from the last) or by name.

        Raises:
            IndexError: no such index.
            ValueError: no layer of that name.
        """
        names, count = [info.name for info in self.feature_info], len(self.layers)
        if isinstance(layer, str):
            if layer not in names:
                raise ValueError(f"no layer {layer!r}; {suggest(layer, names)}")
            return names.index(layer)
        if not -count <= layer < count:
            raise IndexError(f"layer {layer}: this encoder has layers 0..{count - 1} (or -{count}..-1)")
        return layer % count

    def forward(self, x: Tensor, layers: Sequence[int | str] | None = None) -> list[Tensor]:
        """Return the features of the requested layers.

        Args:
            x: (N, 3, H, W) float32, from `transform`.
            layers: indices (0 is the first layer, negative counts from the last) or names; None for all.

        Returns:
            One (N, C_l, H_l, W_l) tensor per requested layer, in the requested order.

        Raises:
            IndexError: no such layer.
            TypeError: frames that were not transformed.
            ValueError: no layer of that name.
        """
        if "uint8" in str(x.dtype):
            raise TypeError("frames (uint8) go through the transform first: encoder(encoder.transform(frames))")
        wanted = [self.index_of(layer) for layer in (range(len(self.layers)) if layers is None else layers)]
        kept: dict[int, Tensor] = {}
        for index, layer in enumerate(self.layers[: max(wanted, default=-1) + 1]):
            x = layer(x)
            if index in wanted:
                kept[index] = x
        return [kept[index] for index in wanted]

    def hash(self) -> str:
        """Return a digest of the weights and the architecture."""
        fit = "" if self.transform.fit == "crop" else f", {self.transform.fit}"
        digest = hashlib.sha256(f"({self._architecture()}, {self.transform!r}{fit})".encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _architecture(self) -> str:
        """Describe the architecture, without the origin of the initial weights."""
        config = self.config
        if config.name == "sequential":
            return repr(self.layers)
        if config.name != "conv":
            return f"{config.name}, norm={config.norm}"
        # unchanged for compatibility: feature stores contain such digests
        names = ("widths", "kernels", "strides", "pools", "norm")
        return f"EncoderConfig({', '.join(f'{name}={getattr(config, name)!r}' for name in names)})"


@torch.no_grad()
def with_statistics(encoder: Encoder, frames: Iterable[Tensor]) -> Encoder:
    """Return the encoder with batch norm statistics measured on some frames.

    With initial statistics (mean 0, variance 1), a net in eval mode does not normalize at all and would be too weak as
    the untrained baseline. Weights are not changed.

    Args:
        encoder: not modified; returned itself if it has no batch norm.
        frames: batches of (N, 3, H, W) float32; statistics are averaged over them.

    Returns:
        A copy with statistics.
    """
    if not any(isinstance(part, nn.BatchNorm2d) for part in encoder.modules()):
        return encoder
    measured = copy.deepcopy(encoder)
    norms = [part for part in measured.modules() if isinstance(part, nn.BatchNorm2d)]
    before = [(part.momentum, part.training) for part in norms]
    for part in norms:
        part.reset_running_stats()
        part.momentum = None  # the mean over all batches
        part.train()
    for batch in frames:
        measured(batch, layers=[-1])
    for part, (momentum, training) in zip(norms, before, strict=True):
        part.momentum = momentum
        part.train(training)
    return measured
