"""torchvision networks as encoders: one layer per stage, with the stem in the first."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from seqff.config import EncoderConfig
from seqff.errors import RunError
from seqff.nets.cut import CutLayer
from seqff.nets.encoder import Encoder, LayerInfo
from seqff.nets.norms import build_norm
from seqff.transform import FrameTransform

LEAST_PX = 32
"""With shorter sides, the last stage's map would be empty."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Color normalization of torchvision's weights, as documented there: mean and standard deviation of R, G, B (0..1)."""
HEADS = ("fc.", "classifier.")
"""Prefixes of the classifier's weights, which encoders do not have."""
Stage = tuple[tuple[str, ...], LayerInfo]
"""Names of the modules of a layer, and the layer's output."""


def _resnet(expansion: int) -> tuple[Stage, ...]:
    """He et al. 2015, arXiv:1512.03385, in four layers as in Siddiqui et al. 2023, arXiv:2302.01647.

    The stem, one convolution, is not a separate layer: it has a receptive field of 11 px and stride 4, and its own
        objective did not help it (Weizmann, 100 steps, one seed: its loss rose, and it probed a point below its
        untrained self).
    """
    stem = ("conv1", "bn1", "relu", "maxpool")
    return tuple(
        (
            (*(stem if number == 1 else ()), f"layer{number}"),
            LayerInfo(f"stage{number}", 32 * 2**number * expansion, 2 ** (number + 1)),
        )
        for number in range(1, 5)
    )


def _features(*stages: tuple[int, int, int, int]) -> tuple[Stage, ...]:
    """Return stages from (start, stop, channels, reduction), with start and stop indexing `features`."""
    return tuple(
        (tuple(map(str, range(start, stop))), LayerInfo(f"stage{number}", channels, reduction))
        for number, (start, stop, channels, reduction) in enumerate(stages, start=1)
    )


STAGES: dict[str, tuple[Stage, ...]] = {
    "resnet18": _resnet(1),
    "resnet34": _resnet(1),
    "resnet50": _resnet(4),
    # Simonyan, Zisserman 2014, arXiv:1409.1556: each stage ends with max pooling
    "vgg11": _features((0, 3, 64, 2), (3, 6, 128, 4), (6, 11, 256, 8), (11, 16, 512, 16), (16, 21, 512, 32)),
    # Liu et al. 2022, arXiv:2201.03545: the stem is linear; later stages begin with their stride
    "convnext_tiny": _features((0, 2, 96, 4), (2, 4, 192, 8), (4, 6, 384, 16), (6, 8, 768, 32)),
}


class Colors(nn.Module):
    """Converts transformed frames to the color normalization of another network; nothing is learned."""

    def __init__(
        self, transform: FrameTransform, expected_mean: Sequence[float] = MEAN, expected_std: Sequence[float] = STD
    ) -> None:
        super().__init__()
        self.scale: Tensor
        self.shift: Tensor
        # on the CPU even if a net is built on the meta device: no file contains these numbers
        mean, std = (torch.tensor(values, device="cpu")[:, None, None] for values in (expected_mean, expected_std))
        self.register_buffer("scale", transform.std / std, persistent=False)
        self.register_buffer("shift", (transform.mean - mean) / std, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 3, H, W)."""
        return x * self.scale.to(x.device) + self.shift.to(x.device)  # on another device only when testing shapes


def build_backbone(config: EncoderConfig, transform: FrameTransform, *, seed: int = 0) -> Encoder:
    """Build a torchvision network as an encoder.

    With `norm="none"` it computes the same last map as torchvision's network; another norm is inserted before every
    layer but the first. Batch norms inside a layer are kept.

    Args:
        config: `name`, `weights` and `norm`; the other settings belong to the plain conv net.
        transform: transform of the input, at least 32 px on each side.
        seed: seed of the initial weights, drawn by torchvision's initialization.

    Raises:
        ValueError: settings of the plain conv net, or frames too small.
        RunError: the weights file cannot be read, or belongs to another network.
    """
    check_plain(config)
    if min(transform.height, transform.width) < LEAST_PX:
        raise ValueError(
            f"encoder.name={config.name} needs frames of at least {LEAST_PX} px on each side, got "
            f"{transform.height}x{transform.width}: raise size_px"
        )
    trunk = _draw(config.name, seed)
    if config.weights:
        _load(trunk, Path(config.weights), config.name)
    layers: list[nn.Module] = []
    below = 3
    for names, info in STAGES[config.name]:
        norm = build_norm(config.norm, below) if layers else Colors(transform)
        layers.append(CutLayer(norm, nn.Sequential(*(trunk.get_submodule(name) for name in names))))
        below = info.channels
    return Encoder(layers, [info for _, info in STAGES[config.name]], transform, config)


def check_plain(config: EncoderConfig) -> None:
    """Raise ValueError if settings of the plain conv net are given for another network."""
    plain = EncoderConfig()
    for name in ("widths", "kernels", "strides", "pools"):
        if getattr(config, name) != getattr(plain, name):
            raise ValueError(f"encoder.{name} is for encoder.name=conv; {config.name} has its own")


def _draw(name: str, seed: int) -> nn.Module:
    """Return the network, or its `features`, with torchvision's initialization; the global generator is not changed."""
    from torchvision import models  # imported late: the plain conv net does not need it

    if name == "vgg11":  # its unused classifier has 12 times the weights of its features
        with torch.device("meta"):
            features: nn.Module = models.vgg11().features
        features = features.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(seed)
        for part in features.modules():
            if isinstance(part, nn.Conv2d) and part.bias is not None:
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
                nn.init.zeros_(part.bias)
        return features
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if name == "convnext_tiny":  # its stochastic depth would use the global generator in training
            found: nn.Module = models.convnext_tiny(stochastic_depth_prob=0.0).features
        else:
            found = getattr(models, name)()
            del found.fc
    return found


def _load(trunk: nn.Module, path: Path, name: str) -> None:
    """Load weights with torchvision's names into the network."""
    state = {key: value for key, value in read_weights(path).items() if not key.startswith(HEADS)}
    if name in ("vgg11", "convnext_tiny"):
        state = {key.removeprefix("features."): value for key, value in state.items()}
    try:
        trunk.load_state_dict(state, strict=True)
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:400]
        raise RunError(f"{path}: not the weights of torchvision's {name}: {cause}") from error


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read a state_dict from a .safetensors file or one written by torch.save. Nothing in it is executed.

    Raises:
        RunError: the file is missing or damaged, or does not contain tensors by name.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RunError(f"{path}: no such file of weights; seqff downloads none") from error
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise RunError(f"{path}: not readable as weights: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RunError(f"{path}: holds no state_dict (tensors by name); save what model.state_dict() gives")
    return state
