"""The encoder contract: a stack of layers, each with its features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from seqff.config import EncoderConfig
from seqff.config_io import suggest
from seqff.transform import FrameTransform


@dataclass(frozen=True)
class LayerInfo:
    """What a layer gives: its name, its channels, and how many input px one of its cells spans (the reduction)."""

    name: str
    channels: int
    reduction: int


class Encoder(nn.Module):
    """Layers that learn one by one, bottom to top.

    Args:
        layers: modules, each (N, C, H, W) -> (N, C', H', W').
        feature_info: one LayerInfo a layer.
        transform: how decoded frames become the input.
        config: the settings it was built from, kept so that it can be built again.

    Attributes:
        origin: the folder it was loaded from, which says what it was trained on; None if it was not loaded.
    """

    from_sequential: ClassVar[Callable[..., Encoder]]
    from_pretrained: ClassVar[Callable[..., Encoder]]
    save_pretrained: ClassVar[Callable[..., Path]]  # bound in `seqff.nets`: what they need stands above this class

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
        """Return the features of the layers asked for.

        Args:
            x: (N, 3, H, W) float32, as `transform` gives it.
            layers: indices (0 is the first layer, negative counts from the last) or names; None for all.

        Returns:
            One (N, C_l, H_l, W_l) tensor a layer asked for, in the order asked.

        Raises:
            IndexError: no such layer.
            TypeError: frames that did not go through the transform.
            ValueError: no layer of that name.
        """
        if "uint8" in str(getattr(x, "dtype", "")):
            raise TypeError("frames (uint8) go through the transform first: encoder(encoder.transform(frames))")
        wanted = [self.index_of(layer) for layer in (range(len(self.layers)) if layers is None else layers)]
        kept: dict[int, Tensor] = {}
        for index, layer in enumerate(self.layers[: max(wanted, default=-1) + 1]):
            x = layer(x)
            if index in wanted:
                kept[index] = x
        return [kept[index] for index in wanted]

    def hash(self) -> str:
        """A digest of the weights and the architecture."""
        fit = "" if self.transform.fit == "crop" else f", {self.transform.fit}"
        digest = hashlib.sha256(f"({self._architecture()}, {self.transform!r}{fit})".encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _architecture(self) -> str:
        """Say what computes; where its first weights came from is no part of that."""
        config = self.config
        if config.name == "sequential":
            return repr(self.layers)
        if config.name != "conv":
            return f"{config.name}, norm={config.norm}"
        # as it has been since there was no other network: stores of features hold such digests
        names = ("widths", "kernels", "strides", "pools", "norm")
        return f"EncoderConfig({', '.join(f'{name}={getattr(config, name)!r}' for name in names)})"
