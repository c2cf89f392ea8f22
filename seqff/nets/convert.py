"""Encoders for elsewhere: torch.export, ONNX, or a folder for the Hugging Face hub."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqff.errors import RunError
from seqff.files import write_atomically
from seqff.nets.encoder import Encoder
from seqff.nets.io import load_encoder

KINDS = (".pt2", ".onnx")
BATCH = 2
"""Frames of the example that is traced; of 0 or 1, torch would make a constant."""


class FramesToMaps(nn.Module):
    """An encoder with its transform's scaling inside: from decoded frames to maps."""

    def __init__(self, encoder: Encoder, layers: Sequence[int] | None = None) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(encoder).cpu().eval().requires_grad_(False)
        self.wanted = None if layers is None else list(layers)

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Map (N, height, width, 3) uint8 RGB to one (N, C, H, W) float32 a layer."""
        transform = self.encoder.transform
        x = frames.permute(0, 3, 1, 2).to(torch.float32) * (1 / (255 * transform.std)) - transform.mean / transform.std
        return tuple(self.encoder(x, self.wanted))


def convert(
    run: str | os.PathLike[str] | Encoder,
    *,
    out: str | os.PathLike[str],
    layers: Sequence[int | str] = (),
    overwrite: bool = False,
) -> Path:
    """Write an encoder for use without seqff, or for others to load with it.

    A .pt2 file (`torch.export.load(path).module()`) or an .onnx file (pip install 'seqff[onnx]') takes frames as they
    are decoded, (N, height, width, 3) uint8 RGB at the size of the encoder's transform, any N, and gives one map
    (N, channels, rows, columns) float32 a layer: scaling is inside, resizing and cropping are not. A name without an
    ending is a folder with config.json, model.safetensors and a model card (see `Encoder.save_pretrained`).

    Args:
        run: a run folder, a folder of a pretrained encoder, or an encoder.
        out: what to write.
        layers: which layers the file gives, by index (0 is the first, -1 the last) or name; none for all.
        overwrite: replace what is there.

    Returns:
        `out`.

    Raises:
        ValueError: another ending, no layer of that name, or layers for a folder, which has all of them.
        IndexError: no such layer.
        RunError: the encoder cannot be read, `out` exists or cannot be written, or a package is missing.
    """
    path = Path(out)
    if path.suffix not in ("", *KINDS):
        raise ValueError(f"{path} ends with {path.suffix}; choose from {', '.join(KINDS)}, or give a folder")
    if layers and not path.suffix:
        raise ValueError("layers are for .pt2 and .onnx files; a folder holds the whole encoder")
    encoder = run if isinstance(run, Encoder) else load_encoder(run)
    if not path.suffix:
        return encoder.save_pretrained(path, overwrite=overwrite)
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists; give another name, or overwrite")
    wanted = [encoder.index_of(layer) for layer in layers] or list(range(len(encoder.layers)))
    names = [encoder.feature_info[layer].name for layer in wanted]
    content = {".pt2": _exported, ".onnx": _onnx}[path.suffix](FramesToMaps(encoder, wanted), names)
    write_atomically(path, content)
    return path


def _example(model: FramesToMaps) -> tuple[Tensor]:
    transform = model.encoder.transform
    return (torch.zeros(BATCH, transform.height, transform.width, 3, dtype=torch.uint8),)


def _shapes() -> dict[str, Any]:
    return {"frames": {0: torch.export.Dim("frames")}}


def _exported(model: FramesToMaps, names: Sequence[str]) -> bytes:
    del names  # torch.export numbers what comes out
    program = torch.export.export(model.eval(), _example(model), dynamic_shapes=_shapes())
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _onnx(model: FramesToMaps, names: Sequence[str]) -> bytes:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise RunError(f"ONNX files need the package {error.name}: pip install 'seqff[onnx]'") from error
    program = torch.onnx.export(
        model.eval(),
        _example(model),
        dynamo=True,
        dynamic_shapes=_shapes(),
        input_names=["frames"],
        output_names=list(names),
        verbose=False,
    )
    if program is None:
        raise RunError("torch.onnx.export gave no program")
    return bytes(program.model_proto.SerializeToString())
