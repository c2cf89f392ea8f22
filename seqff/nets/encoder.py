"""The encoder contract: a stack of layers, each with its features."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from seqff.config import EncoderConfig
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

    @classmethod
    def from_sequential(
        cls,
        modules: nn.Sequential,
        transform: FrameTransform,
        *,
        cuts: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
        norm: str = "layer",
    ) -> Encoder:
        """Cut a network of your own into layers; `seqff.train(videos, init=..., out=...)` trains them.

        A run of modules that torch has (convolutions, norms, activations, pooling) is read like any other. With classes
        of your own, `seqff.load(run, like=...)` needs an encoder cut the same way, and features come from
        `seqff.VideoFeatures`.

        Args:
            modules: from frames (N, 3, H, W) to maps (N, C, H', W'), without flattening and classifier; not copied.
            transform: how frames come in; its size is the input's.
            cuts: where layers begin, but for the first: (2, 5) gives modules[:2], modules[2:5] and modules[5:]. None
                begins one at every module with a matrix or kernel of weights.
            names: one a layer; None for layer1, layer2, ...
            norm: what the input of every layer but the first goes through (see `EncoderConfig.norm`).

        Raises:
            ValueError: cuts or names that do not fit, layers without weights of their own, or with dropout, or that
                give no maps.
        """
        from seqff.nets.cut import cut_sequential  # which knows this class

        return cut_sequential(modules, transform, cuts=cuts, names=names, norm=norm)

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], *, revision: str | None = None) -> Encoder:
        """Load an encoder that `save_pretrained` wrote, in eval mode.

        Args:
            source: its folder, or USER/REPOSITORY on the Hugging Face hub (pip install 'seqff[hub]').
            revision: branch, tag or commit on the hub.

        Raises:
            RunError: there is none, it cannot be downloaded, or its files are damaged.
        """
        from seqff.nets.pretrained import load_pretrained

        return load_pretrained(source, revision=revision)

    def save_pretrained(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write config.json, model.safetensors and README.md, a model card: a folder as the Hugging Face hub has them.

        What the card says of the training comes from the run that this encoder was loaded from.

        Args:
            folder: must not exist, unless overwrite is given.
            overwrite: replace an encoder that is there.

        Returns:
            The folder.

        Raises:
            RunError: the folder is in the way or cannot be written.
        """
        from seqff.nets.pretrained import write_pretrained

        return write_pretrained(self, Path(folder), overwrite=overwrite)

    def forward(self, x: Tensor, layers: Sequence[int] | None = None) -> list[Tensor]:
        """Return the features of the layers asked for.

        Args:
            x: (N, 3, H, W) float32, as `transform` gives it.
            layers: indices (0 is the first layer, negative counts from the last); None for all.

        Returns:
            One (N, C_l, H_l, W_l) tensor a layer asked for, in the order asked.

        Raises:
            IndexError: no such layer.
        """
        count = len(self.layers)
        wanted = list(range(count)) if layers is None else list(layers)
        for index in wanted:
            if not -count <= index < count:
                raise IndexError(f"layer {index}: this encoder has layers 0..{count - 1} (or -{count}..-1)")
        wanted = [index % count for index in wanted]
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
