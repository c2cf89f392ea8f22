"""Split networks into locally trained layers, and serialize torch modules as plain data."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from seqff.config import EncoderConfig
from seqff.nets.encoder import Encoder, LayerInfo
from seqff.nets.norms import build_norm
from seqff.transform import FrameTransform


class CutLayer(nn.Module):
    """A piece of a network, with a norm before it."""

    def __init__(self, norm: nn.Module, body: nn.Module) -> None:
        super().__init__()
        self.norm, self.body = norm, body

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        out: Tensor = self.body(self.norm(x))
        return out


def find_cuts(modules: Sequence[nn.Module]) -> tuple[int, ...]:
    """Return the start of every layer but the first: each module with a weight matrix or kernel.

    Modules without one (norms, activations, pooling) belong to the layer below.
    """
    heavy = [place for place, part in enumerate(modules) if any(p.ndim > 1 for p in part.parameters())]
    return tuple(heavy[1:])


def cut_sequential(
    modules: nn.Sequential,
    transform: FrameTransform,
    *,
    cuts: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    norm: str = "layer",
) -> Encoder:
    """Split your own network into layers; `seqff.train(videos, init=..., out=...)` trains them.

    A run with torch's modules (convolutions, norms, activations, pooling) is loaded like any other. With your own
    classes, `seqff.load(run, like=...)` needs an encoder split the same way, and features come from
    `seqff.VideoFeatures`.

    Args:
        modules: from frames (N, 3, H, W) to maps (N, C, H', W'), without flattening and classifier; not copied.
        transform: transform of the input; its size is the input's.
        cuts: starts of all layers but the first: (2, 5) gives modules[:2], modules[2:5] and modules[5:]. None starts a
            layer at every module with a weight matrix or kernel.
        names: one per layer; None for layer1, layer2, ...
        norm: normalization of the input of every layer but the first (see `EncoderConfig.norm`).

    Raises:
        ValueError: cuts or names that do not fit, layers without their own weights, with dropout, or whose output is
            not a map.
    """
    parts = list(modules)
    cuts = find_cuts(parts) if cuts is None else tuple(cuts)
    edges = (0, *cuts, len(parts))
    if any(stop <= start for start, stop in itertools.pairwise(edges)):
        raise ValueError(f"cuts must grow and lie between 1 and {len(parts) - 1}, where a layer begins; got {cuts}")
    bodies = [nn.Sequential(*parts[start:stop]) for start, stop in itertools.pairwise(edges)]
    names = [f"layer{number}" for number in range(1, len(bodies) + 1)] if names is None else list(names)
    if len(set(names)) != len(bodies):
        raise ValueError(f"names must be {len(bodies)}, one a layer, each once; got {', '.join(names)}")
    return join_layers(bodies, names, transform, EncoderConfig(name="sequential", norm=norm))  # type: ignore[arg-type]


def join_layers(
    bodies: Sequence[nn.Module], names: Sequence[str], transform: FrameTransform, config: EncoderConfig
) -> Encoder:
    """Build an encoder from foreign modules; their output shapes are determined with one frame.

    Raises:
        ValueError: a module that cannot be a layer.
    """
    _check(bodies, names, config.norm)
    layers: list[nn.Module] = []
    info: list[LayerInfo] = []
    x, channels = torch.zeros(1, 3, transform.height, transform.width), 3
    for name, body in zip(names, bodies, strict=True):
        layer = CutLayer(build_norm(config.norm if layers else "none", channels), body)
        x = _try(layer, x, name)
        channels = x.shape[1]
        layers.append(layer)
        info.append(LayerInfo(name, channels, round(transform.height / x.shape[2])))
    return Encoder(layers, info, transform, config)


def _check(bodies: Sequence[nn.Module], names: Sequence[str], norm: str) -> None:
    """Raise ValueError unless every module can be trained locally and reproducibly."""
    seen: dict[int, str] = {}
    for name, body in zip(names, bodies, strict=True):
        own = {id(parameter) for parameter in body.parameters()}
        if not own:
            raise ValueError(f"{name} has no weights to learn: cut elsewhere, so that it belongs to another layer")
        shared = [seen[key] for key in own if key in seen]
        if shared:
            raise ValueError(f"{name} and {shared[0]} share weights; each layer learns by itself and needs its own")
        seen |= dict.fromkeys(own, name)
        if any(isinstance(part, _DropoutNd) and part.p for part in body.modules()):
            raise ValueError(
                f"{name} has dropout, which draws from torch's global generator: the seed of a training does not reach "
                "it. Leave it out; frames are augmented already"
            )
        first = next(part for part in body.modules() if not isinstance(part, nn.Sequential))
        if norm == "none" and getattr(first, "inplace", False):
            raise ValueError(f"{name} begins with a module that works in place, on the output of the layer below")


@torch.no_grad()
def _try(layer: nn.Module, x: Tensor, name: str) -> Tensor:
    """Run one frame through a layer in eval mode."""
    training = {part: part.training for part in layer.modules()}
    try:
        out = layer.eval()(x)
    except RuntimeError as error:
        raise ValueError(f"{name} cannot take its input {tuple(x.shape)}: {' '.join(str(error).split())}") from error
    finally:
        for part, mode in training.items():
            part.training = mode
    if not isinstance(out, Tensor) or out.ndim != 4:
        given = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(f"{name} gives {given}; a layer gives maps (N, C, H, W): leave flattening and classifier out")
    return out


KNOWN: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish,
        nn.Tanh, nn.Sigmoid, nn.MaxPool2d, nn.AvgPool2d, nn.Identity,
    )
}  # fmt: skip
"""torch modules whose arguments are their attributes; no other module is ever built from a file."""
Plain = list[Any]


def describe(module: nn.Module) -> Plain:
    """Return a module as its name and arguments, and a Sequential as its name and parts.

    Raises:
        TypeError: an unsupported class.
    """
    if type(module) is nn.Sequential:
        return ["Sequential", [describe(part) for part in module]]
    if KNOWN.get(type(module).__name__) is not type(module):
        raise TypeError(type(module).__name__)
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(type(module).__init__).parameters.values():
        if parameter.name == "bias":
            if module.weight is not None and module.bias is None:
                arguments["bias"] = False
        elif parameter.name not in ("self", "device", "dtype") and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            value = getattr(module, parameter.name)
            if value != parameter.default:
                arguments[parameter.name] = list(value) if isinstance(value, tuple) else value
    return [type(module).__name__, arguments]


def rebuild(plain: Any) -> nn.Module:
    """Build a module from the result of `describe`, with fresh weights.

    Raises:
        ValueError: not a result of `describe`.
        TypeError: arguments that the module does not accept.
    """
    if not isinstance(plain, list) or len(plain) != 2 or plain[0] not in (*KNOWN, "Sequential"):
        raise ValueError(f"modules: {str(plain)[:80]} is not a module's name and arguments")
    name, content = plain
    if name == "Sequential":
        return nn.Sequential(*map(rebuild, content))
    return KNOWN[name](**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})
