"""Export of encoders and classifiers: torch.export, ONNX, or a folder for the Hugging Face Hub."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from seqff.errors import RunError
from seqff.features.pooling import STATISTICS, spatial_pool
from seqff.nets import Encoder, load_encoder
from seqff.nets.programs import PROGRAMS, FramesToMaps, write_program
from seqff.probes.classifier import Classifier, load_classifier
from seqff.terminal import counted


def convert(
    run: str | os.PathLike[str] | Encoder,
    *,
    out: str | os.PathLike[str],
    layers: Sequence[int | str] = (),
    probe: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Path:
    """Export an encoder, or an encoder with the head of a probe, for use without seqff.

    A .pt2 file (`torch.export.load(path).module()`) or an .onnx file (pip install 'seqff[onnx]') takes decoded frames,
    (N, height, width, 3) uint8 RGB at the size of the encoder's transform, for any N, and returns one map
    (N, channels, rows, columns) float32 per layer. Scaling is included; resizing and cropping are not. A name without
    extension becomes a folder with config.json, model.safetensors and a model card (see `Encoder.save_pretrained`).

    With a probe, the file returns "probabilities" instead, (rows, classes) float32, as computed by `classify`. If the
    probe's rows are frames, each of the N frames has a row. Otherwise there is one row for all of them: the frames of
    one clip, or those sampled from one video. The metadata of the ONNX file (for a .pt2 file, extra files of the same
    names) contain the classes, as JSON, the layer, and which frames make a row.

    Args:
        run: a run folder, a folder of a pretrained encoder, or an encoder.
        out: file or folder to write.
        layers: layers to return, by index (0 is the first, -1 the last) or name; none means all. With a probe: the
            layer of the head, at most one; none means the one with the best accuracy in the probe.
        probe: folder of a probe of the run's features.
        overwrite: replace an existing file or folder.

    Returns:
        `out`.

    Raises:
        ValueError: another extension, no layer of that name, or layers or a probe for a folder, which has all layers.
        IndexError: no such layer.
        RunError: the encoder or the probe cannot be read or do not match, `out` exists or cannot be written, or a
            package is missing.
    """
    path = Path(out)
    if path.suffix not in ("", *PROGRAMS):
        raise ValueError(f"{path} ends with {path.suffix}; choose from {', '.join(PROGRAMS)}, or give a folder")
    if not path.suffix and (layers or probe is not None):
        raise ValueError("layers and a probe are for .pt2 and .onnx files; a folder holds the whole encoder")
    if probe is not None and len(layers) > 1:
        raise ValueError(f"a classifier has the head of one layer, not of {len(layers)}")
    if path.suffix and path.exists() and not overwrite:
        raise RunError(f"{path} exists; give another name, or overwrite")
    if probe is not None:
        classifier = load_classifier(probe, layer=layers[0] if layers else None, run=run)
        model = FramesToClasses(classifier)
        write_program(model, path, classifier.encoder.transform, ["probabilities"], _metadata(classifier))
        return path
    encoder = run if isinstance(run, Encoder) else load_encoder(run)
    if not path.suffix:
        return encoder.save_pretrained(path, overwrite=overwrite)
    wanted = [encoder.index_of(layer) for layer in layers] or list(range(len(encoder.layers)))
    names = [encoder.feature_info[layer].name for layer in wanted]
    write_program(FramesToMaps(encoder, wanted), path, encoder.transform, names, {})
    return path


class FramesToClasses(nn.Module):
    """An encoder up to a layer, the pooling of a probe's features, and a head: decoded frames to probabilities."""

    mean: Tensor
    weights: Tensor
    bias: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        head = classifier.head
        mean = torch.zeros(len(head.kept), dtype=torch.float64)
        weights = torch.zeros(len(head.kept), len(head.bias), dtype=torch.float64)
        kept = torch.from_numpy(head.kept)
        mean[kept], weights[kept] = torch.from_numpy(head.mean), torch.from_numpy(head.weights / head.scale[:, None])
        self.maps = FramesToMaps(classifier.encoder, [-1])
        self.grid, self.pooled, self.dtype = classifier.grid, classifier.sampling.pooled, classifier.dtype
        for name, values in (("mean", mean), ("weights", weights), ("bias", torch.from_numpy(head.bias))):
            self.register_buffer(name, values.float())

    def forward(self, frames: Tensor) -> Tensor:
        """Map (N, height, width, 3) uint8 RGB to (rows, classes) float32."""
        (maps,) = self.maps(frames)
        rows = spatial_pool(maps, self.grid)
        if self.pooled:
            rows = _over_time(rows)[list(self.pooled)].flatten()[None]
        if self.dtype == "fp16":
            rows = rows.to(torch.float16).float()
        return torch.softmax((rows - self.mean) @ self.weights + self.bias, dim=1)


def _over_time(rows: Tensor) -> Tensor:
    """Return the `STATISTICS` of `seqff.features.pooling` over the frames of a video, (T, D): (3, D)."""
    mean = rows.mean(dim=0)
    std = (rows - mean).square().mean(dim=0).sqrt()
    places = torch.arange(rows.shape[0])  # slicing rows[1:] would specialize the program on the number of rows
    move = (rows - rows[(places - 1).clamp(min=0)]).abs().sum(dim=0) / places[-1].clamp(min=1)
    return torch.stack([mean, std, move])


def _metadata(classifier: Classifier) -> dict[str, str]:
    """Return the metadata needed to use the file."""
    sampling, transform = classifier.sampling, classifier.encoder.transform
    metadata = {
        "classes": json.dumps(classifier.classes, ensure_ascii=False),
        "layer": classifier.layer,
        "probe_accuracy": f"{classifier.accuracy:.6g}",
        "rows": sampling.per,
        "every": f"{sampling.every_seconds:g} s" if sampling.every_seconds else counted(sampling.every, "frame"),
        "fit": transform.fit,
    }
    if sampling.pooled:
        metadata["statistics"] = ", ".join(STATISTICS[place] for place in sampling.pooled)
    if sampling.per == "clip":
        metadata |= {"clip_frames": str(sampling.clip_frames)}
    return metadata
