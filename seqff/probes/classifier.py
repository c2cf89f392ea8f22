"""A classifier of new videos: an encoder, and the head that a probe fitted on its features."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqff.errors import RunError
from seqff.features.pooling import STATISTICS, Grid
from seqff.features.sampling import DTYPES, Sampling
from seqff.nets import Encoder, load_encoder
from seqff.probes.heads import Head, Heads


@dataclass(frozen=True)
class Classifier:
    """Frames to classes, from one layer.

    Args:
        layer: name of the layer.
        accuracy: accuracy of that layer in the probe, on held-out videos.
        encoder: the layers up to that one.
        head: head of that layer.
        classes: (K,) names.
        grid: cells that the layer's maps are pooled to; see `spatial_pool`.
        sampling: which frames are used, and what makes a row.
        dtype: "fp32" or "fp16", the storage type of the rows that the head was fitted on.
        videos: content hashes of the videos that the head was fitted on.
    """

    layer: str
    accuracy: float
    encoder: Encoder
    head: Head
    classes: tuple[str, ...]
    grid: Grid
    sampling: Sampling
    dtype: str
    videos: frozenset[str]


def load_classifier(
    probe: str | os.PathLike[str],
    *,
    layer: str | int | None = None,
    run: str | os.PathLike[str] | Encoder | None = None,
) -> Classifier:
    """Load a head of a probe and the encoder that produced the probe's features.

    Args:
        probe: folder of a probe.
        layer: layer of the head, by name or index; None takes the layer with the best accuracy in the probe.
        run: the encoder, or its run; None uses the run recorded with the probe's features.

    Raises:
        RunError: the heads are missing or damaged, or the encoder is not that of the probe.
        ValueError: no head of that layer.
    """
    heads = Heads.load(Path(probe))
    name = _choose(heads, layer, probe)
    encoder = _up_to(_encoder(heads, run), name)
    grid, sampling, dtype = _extraction(heads.extraction)
    return Classifier(
        name, heads.accuracy[name], encoder, heads.layers[name], heads.classes, grid, sampling, dtype, heads.videos
    )  # fmt: skip


def _choose(heads: Heads, layer: str | int | None, probe: object) -> str:
    names = list(heads.layers)
    if layer is None:
        return max(names, key=heads.accuracy.__getitem__)
    if layer in names:
        return str(layer)
    if isinstance(layer, str) or not -len(names) <= layer < len(names):
        raise ValueError(f"no head of layer {layer!r} in {probe}; it has {', '.join(names)}")
    return names[layer]


def _encoder(heads: Heads, run: str | os.PathLike[str] | Encoder | None) -> Encoder:
    """Load the encoder that produced the features of the probe."""
    where = heads.encoder.get("run") if run is None else run
    if not where:
        raise RunError("the probe's features do not say of which run they are; run (--run RUN) says it")
    try:
        encoder = where if isinstance(where, Encoder) else load_encoder(where)
    except RunError as error:
        raise RunError(f"{error}; if the run has moved, run (--run RUN) says where it is") from error
    if heads.encoder.get("hash") not in (None, encoder.hash()):
        what = "this is" if isinstance(where, Encoder) else f"{where} holds"
        raise RunError(f"{what} another encoder than the probe's features are of; give the run of those features")
    return encoder


def _up_to(encoder: Encoder, name: str) -> Encoder:
    """The layers of an encoder up to the named one."""
    names = [info.name for info in encoder.feature_info]
    if name not in names:
        raise RunError(f"the encoder has no layer {name!r}; it has {', '.join(names)}")
    stop = names.index(name) + 1
    return Encoder(list(encoder.layers)[:stop], encoder.feature_info[:stop], encoder.transform, encoder.config)


def _extraction(settings: Mapping[str, Any]) -> tuple[Grid, Sampling, str]:
    """Return the pooling, frame sampling and storage type of the probe's features."""
    try:
        names = ("per", "every", "every_seconds", "clip_frames", "clip_stride")
        known = {name: settings[name] for name in names if name in settings}
        sampling = Sampling(**known, statistics=tuple(settings.get("statistics") or STATISTICS))
        grid, dtype = settings["grid"], str(settings.get("dtype", "fp32"))
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"the probe's heads say of the extraction what cannot be ({error}); probe again") from error
    return grid, sampling, dtype
