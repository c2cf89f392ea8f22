"""torch.compile for one layer, or the layer as it is where compiling fails."""

from __future__ import annotations

import logging
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)


def compile_layer(layer: nn.Module, name: str, h: Tensor) -> Callable[[Tensor], Tensor]:
    """Compile a layer and try it forward and backward, so that it fails here or never.

    Each shape of input gets kernels of its own, and not one for all shapes once a second one comes: what a step
    computes must not depend on the batches before it, or a resumed run would end otherwise. (That holds for the eight
    shapes of a layer's input that torch allows; it warns of the ninth and runs it uncompiled.)

    Args:
        layer: the module; it stays as it is, weights and running statistics, too.
        name: for the warning.
        h: an input of the kind it will see.

    Returns:
        What to call instead of the layer: the layer itself, after a warning, if it cannot be compiled.
    """
    statistics = {key: value.clone() for key, value in layer.named_buffers()}
    weights = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    try:
        compiled: Callable[[Tensor], Tensor] = torch.compile(_own_code(layer), dynamic=False)
        with torch.enable_grad():
            torch.autograd.grad(compiled(h).float().sum(), weights)
    except Exception as error:  # a missing compiler, an operator it does not know, ...: its errors have no common kind
        cause = " ".join(str(error).split())[:300]
        log.warning("%s cannot be compiled and runs uncompiled: %s: %s", name, type(error).__name__, cause)
        return layer
    finally:
        with torch.no_grad():
            for key, value in layer.named_buffers():
                value.copy_(statistics[key])
    return compiled


def _own_code(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """Wrap a layer in a function whose code is no other layer's.

    torch counts what it compiles by code object, and stops at eight: layers of one class would share the eight.
    """

    def call(h: Tensor) -> Tensor:
        out: Tensor = layer(h)
        return out

    return types.FunctionType(call.__code__.replace(), call.__globals__, call.__name__, None, call.__closure__)
