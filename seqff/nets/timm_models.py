"""timm networks as encoders: one layer per stage in `feature_info`, with the stem in the first."""

from __future__ import annotations

import difflib
import itertools
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqff.config import EncoderConfig
from seqff.errors import RunError
from seqff.nets.backbones import Colors, check_plain, read_weights
from seqff.nets.cut import join_layers
from seqff.nets.encoder import Encoder
from seqff.transform import FrameTransform

PREFIX = "timm:"
PLAIN_NAME = re.compile(r"[\w.]+")
"""timm's own networks; names with a source, such as hf-hub:USER/NAME, would be downloaded."""
BLOCKS_TO_STAGES = 4
"""Number of layers into which a vision transformer's blocks are grouped."""


def build_timm(config: EncoderConfig, transform: FrameTransform, *, seed: int = 0) -> Encoder:
    """Build a timm network as an encoder.

    Networks that timm can run as a list of stages are split after each stage; everything after the last one, such as
    the classifier, is dropped. A vision transformer is split into four groups of blocks; it has no class token here,
    and its layers exchange the map of its patches.

    Args:
        config: `name` ("timm:" and timm's name), `weights` and `norm`. Other settings belong to the plain conv net.
        transform: transform of the input.
        seed: seed of the initial weights, drawn by timm's initialization.

    Raises:
        ValueError: settings of the plain conv net, an unsuitable frame size, or an unknown or unsupported network.
        RunError: timm is not installed, or the weights file cannot be read or belongs to another network.
    """
    check_plain(config)
    name = config.name.removeprefix(PREFIX)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        net = _create(name, transform)
    if config.weights:
        _load(net, Path(config.weights), name)
    stages = _stages(net, name) if isinstance(net, nn.ModuleDict) else _blocks(net, name)
    mean, std = (net.pretrained_cfg[key] for key in ("mean", "std"))
    bodies = [nn.Sequential(Colors(transform, mean, std), *stages[0]), *(nn.Sequential(*part) for part in stages[1:])]
    return join_layers(bodies, [f"stage{number + 1}" for number in range(len(bodies))], transform, config)


def _create(name: str, transform: FrameTransform) -> Any:
    """Return the network as timm's list of stages, or a vision transformer unchanged."""
    try:
        import timm
    except ImportError as error:
        raise RunError(f"encoder.name={PREFIX}{name} needs timm: pip install 'seqff[timm]'") from error
    if not PLAIN_NAME.fullmatch(name) or not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        guess = f"did you mean '{PREFIX}{close[0]}'?" if close else "timm.list_models() names them"
        raise ValueError(f"timm has no network {name!r}; {guess}")
    try:
        net = timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"timm has no stages of {name}: {' '.join(str(error).split())}") from error
    if isinstance(net, nn.ModuleDict) and hasattr(net, "return_layers"):
        return net
    if type(getattr(net, "model", None)).__name__ != "VisionTransformer":
        raise ValueError(f"{name} cannot be cut into stages: ResNets, RegNets, ConvNeXts, ViTs and the like can be")
    size = transform.height, transform.width
    return timm.create_model(name, pretrained=False, img_size=size, class_token=False, reg_tokens=0, global_pool="avg")


def _stages(net: Any, name: str) -> list[list[nn.Module]]:
    """Group the modules of a list of stages into layers; a stem belongs to the first.

    A stem ends with an activation or is one convolution: the module after which timm takes its map has at most one
        weight matrix or kernel.
    """
    if str(getattr(net.output_fmt, "value", net.output_fmt)) != "NCHW":
        raise ValueError(f"{name} cannot be cut into stages: its maps have the channels last, which no layer here has")
    stages: list[list[nn.Module]] = [[]]
    for place, module in net.items():
        stages[-1].append(module)
        heavy = sum(parameter.ndim > 1 for parameter in module.parameters())
        if place in net.return_layers and (heavy > 1 or len(stages) > 1):
            stages.append([])
    return stages[:-1]


class Patches(nn.Module):
    """Patch embedding with positions: (N, 3, H, W) -> (N, C, H / patch, W / patch)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.patch_embed, self.norm_pre = model.patch_embed, model.norm_pre
        self.pos_embed = model.pos_embed

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        tokens = self.patch_embed(x)
        tokens = self.norm_pre(tokens if self.pos_embed is None else tokens + self.pos_embed)
        rows, columns = self.patch_embed.grid_size
        return tokens.transpose(1, 2).reshape(len(x), -1, rows, columns)  # type: ignore[no-any-return]


class Blocks(nn.Module):
    """Transformer blocks on a map, whose positions are the tokens: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        tokens: Tensor = self.blocks(x.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).reshape(x.shape)


def _blocks(model: Any, name: str) -> list[list[nn.Module]]:
    """Group the blocks of a vision transformer into layers; the first also embeds the patches."""
    if model.num_prefix_tokens or not isinstance(model.blocks, nn.Sequential):
        raise ValueError(f"{name} cannot be cut into groups of blocks: it has tokens that are no patches")
    count = len(model.blocks)
    edges = [count * number // BLOCKS_TO_STAGES for number in range(BLOCKS_TO_STAGES + 1)]
    stages: list[list[nn.Module]] = [[Blocks(model.blocks[start:stop])] for start, stop in itertools.pairwise(edges)]
    stages[0].insert(0, Patches(model))
    return stages


def _load(net: Any, path: Path, name: str) -> None:
    """Load weights with timm's names into the network; weights of missing modules, such as the head, are ignored."""
    if not isinstance(net, nn.ModuleDict):
        raise ValueError(
            f"encoder.weights={path}: {name} is a vision transformer, which has no class token here; its published "
            "weights would not compute what they did"
        )
    state = {}
    for key, value in read_weights(path).items():
        first, _, rest = key.partition(".")
        second, _, deeper = rest.partition(".")
        if first in net:
            state[key] = value
        elif f"{first}_{second}" in net:  # timm flattens a Sequential's parts
            state[f"{first}_{second}.{deeper}"] = value
    try:
        net.load_state_dict(state, strict=True)
    except RuntimeError as error:
        cause = " ".join(str(error).split())[:400]
        raise RunError(f"{path}: not the weights of timm's {name}: {cause}") from error
