"""Modules of torch as plain data, so that a run of a user's own net can be read without the code that made it."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

KNOWN: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Hardswish,
        nn.Tanh, nn.Sigmoid, nn.MaxPool2d, nn.AvgPool2d, nn.Identity,
    )
}  # fmt: skip
"""Modules of torch whose arguments are their attributes; nothing else is ever built from a file."""
Plain = list[Any]


def describe(module: nn.Module) -> Plain:
    """Turn a module into its name and its arguments, a Sequential into its name and its parts.

    Raises:
        TypeError: a class that is not known here.
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
    """Build a module from what `describe` gave; its weights are fresh.

    Raises:
        ValueError: something else.
        TypeError: arguments that the module does not take.
    """
    if not isinstance(plain, list) or len(plain) != 2 or plain[0] not in (*KNOWN, "Sequential"):
        raise ValueError(f"modules: {str(plain)[:80]} is not a module's name and arguments")
    name, content = plain
    if name == "Sequential":
        return nn.Sequential(*map(rebuild, content))
    return KNOWN[name](**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})
