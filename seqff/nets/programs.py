"""Export networks as programs that do not need seqff: torch.export and ONNX."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqff.errors import RunError
from seqff.files import write_atomically
from seqff.nets.encoder import Encoder
from seqff.transform import FrameTransform

PROGRAMS = (".pt2", ".onnx")
BATCH = 2
"""Number of frames of the traced example; torch would specialize 0 or 1 as a constant."""


class FramesToMaps(nn.Module):
    """An encoder that includes its transform's scaling: from decoded frames to maps."""

    def __init__(self, encoder: Encoder, layers: Sequence[int] | None = None) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).cpu().eval().requires_grad_(False)
        self.wanted = None if layers is None else list(layers)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map (N, height, width, 3) uint8 RGB to one (N, C, H, W) float32 per layer."""
        transform = self.encoder.transform
        x = frames.permute(0, 3, 1, 2).to(torch.float32) * (1 / (255 * transform.std)) - transform.mean / transform.std
        return tuple(self.encoder(x, self.wanted))


def write_program(
    model: nn.Module, path: Path, transform: FrameTransform, names: Sequence[str], metadata: Mapping[str, str]
) -> None:
    """Write a network as a program for any number of frames, (N, height, width, 3) uint8.

    Args:
        model: the network, which takes those frames.
        path: file to write; its suffix, one of `PROGRAMS`, selects the format.
        transform: gives the height and width of the frames.
        names: names of the model's outputs; torch.export numbers them instead.
        metadata: texts by name: properties of an ONNX file, extra files of a torch.export file.

    Raises:
        RunError: a package is missing, or the file cannot be written.
    """
    example = (torch.zeros(BATCH, transform.height, transform.width, 3, dtype=torch.uint8),)
    make = {".pt2": _exported, ".onnx": _onnx}[path.suffix]
    write_atomically(path, make(model.eval(), example, names, metadata))


def _shapes() -> dict[str, Any]:
    return {"frames": {0: torch.export.Dim("frames")}}


def _exported(model: nn.Module, example: tuple[Tensor], names: Sequence[str], metadata: Mapping[str, str]) -> bytes:
    del names
    program = torch.export.export(model, example, dynamic_shapes=_shapes())
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(metadata))
    return buffer.getvalue()


def _onnx(model: nn.Module, example: tuple[Tensor], names: Sequence[str], metadata: Mapping[str, str]) -> bytes:
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise RunError(f"ONNX files need the package {error.name}: pip install 'seqff[onnx]'") from error
    program = torch.onnx.export(
        model,
        example,
        dynamo=True,
        dynamic_shapes=_shapes(),
        input_names=["frames"],
        output_names=list(names),
        verbose=False,
    )
    if program is None:
        raise RunError("torch.onnx.export gave no program")
    found = program.model_proto
    onnx.helper.set_model_props(found, dict(metadata))
    return bytes(found.SerializeToString())
