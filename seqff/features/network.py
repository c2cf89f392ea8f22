"""Build a network that was not trained by seqff, and keep a copy in the store, as runs keep their encoders."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqff.config import EncoderConfig, NetworkConfig
from seqff.config_io import from_dict, suggest
from seqff.errors import RunError, VideoError
from seqff.features.settings import check_baselines, load_encoders
from seqff.nets import Encoder, build_encoder, save_encoder, with_statistics
from seqff.nets.backbones import STAGES
from seqff.nets.io import TRAINED, UNTRAINED
from seqff.nets.timm_models import PREFIX
from seqff.transform import FrameTransform, fit_transform
from seqff.video import Manifest, open_video

logger = logging.getLogger(__name__)
KEPT = "encoder"
"""Folder of the network in a store, laid out like a run folder."""
SEED = 0
"""Seed of untrained weights."""
Videos = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
FRAMES, AT_A_TIME = 64, 16
"""Frames, preferably of different videos, for the batch norm statistics of an untrained net; and their batch size."""


def asked_for(
    run: str | os.PathLike[str] | None,
    videos: Videos | None,
    encoder: NetworkConfig | Mapping[str, Any] | None,
    store: Path,
) -> tuple[NetworkConfig | None, Path, Videos]:
    """Return the requested network, or None for a run; the folder of its encoders; and the videos.

    Raises:
        ValueError: both or neither of run and network, no videos, or no such network.
        ConfigError: settings that a network does not have.
        RunError: the file of weights does not exist.
    """
    network = encoder if isinstance(encoder, NetworkConfig) else from_dict(NetworkConfig, dict(encoder or {}))
    if not network.name:
        if network != NetworkConfig():
            raise ValueError("encoder.weights and encoder.size_px are for a network: encoder.name says which")
        if run is None or videos is None:
            raise ValueError("give a run and videos, or videos and a network (encoder.name, such as resnet18)")
        return None, Path(run), videos
    if run is not None:
        raise ValueError(f"a run brings its encoder: leave out the run ({run}), or encoder.name={network.name}")
    if videos is None:
        raise ValueError(f"no videos to extract features of {network.name} from")
    if network.name not in STAGES and not network.name.startswith(PREFIX):
        raise ValueError(f"no network {network.name!r}; {suggest(network.name, STAGES)}")
    if not network.weights:
        logger.warning("%s without weights (encoder.weights FILE) is an untrained net, of seed %d", network.name, SEED)
    elif not Path(network.weights).is_file():
        raise RunError(f"{network.weights}: no such file of weights; seqff downloads none")
    return network, store / KEPT, videos


def network_encoders(
    network: NetworkConfig, manifest: Manifest, kept: Path, baselines: Sequence[str]
) -> dict[str, Encoder]:
    """Load the encoders kept by an extraction, or build them; keys are prefixes of array names.

    A net with given weights has an untrained version beside it, if that is among the baselines. As in a run, the batch
    norm statistics of an untrained net are measured on frames of the videos.

    Raises:
        ValueError: an unknown baseline, or frames that are too small.
        RunError: the file of weights is unreadable or of another network, or no video can be read.
    """
    check_baselines(baselines)
    beside = bool(network.weights) and "untrained" in baselines
    if (kept / TRAINED).exists() and (not beside or (kept / UNTRAINED).exists()):
        return load_encoders(kept, baselines if beside else ())
    shapes = [(entry.height, entry.width) for entry in manifest.usable]
    if not shapes:
        raise RunError(f"none of the videos under {manifest.root} could be read; nothing to store")
    transform = fit_transform(network.size_px, shapes)
    config = EncoderConfig(name=network.name, weights=network.weights, norm="none")
    encoder = build_encoder(config, transform, seed=SEED)
    if not network.weights:
        return {"": with_statistics(encoder, _frames(manifest, transform))}
    if not beside:
        return {"": encoder}
    fresh = build_encoder(dataclasses.replace(config, weights=""), transform, seed=SEED)
    return {"": encoder, "untrained/": with_statistics(fresh, _frames(manifest, transform))}


def kept_network(encoders: Mapping[str, Encoder], kept: Path) -> dict[str, Encoder]:
    """Write a network's encoders as in a run folder, unless they exist, and load them from there."""
    if not (kept / TRAINED).exists():
        for prefix in sorted(encoders, reverse=True):  # the file that marks completeness comes last
            save_encoder(encoders[prefix], kept, untrained=bool(prefix))
    return load_encoders(kept, ("untrained",) if len(encoders) > 1 else ())


def _frames(manifest: Manifest, transform: FrameTransform) -> Iterator[Tensor]:
    """Yield frames spread over some videos, (N, 3, height, width) float32; skips videos that cannot be read."""
    usable = manifest.usable
    places = np.unique(np.linspace(0, len(usable) - 1, FRAMES).round().astype(int))
    each = math.ceil(FRAMES / len(places))
    frames: list[Tensor] = []
    for entry in (usable[int(place)] for place in places):
        wanted = np.unique(np.linspace(0, entry.frames - 1, each + 2)[1:-1].round().astype(int))
        try:
            size = transform.decode_size(entry.height, entry.width)
            with open_video(manifest.path(entry), size=size, entry=entry) as reader:
                frames.append(transform(reader.at(wanted.tolist())))
        except (VideoError, FileNotFoundError) as error:
            logger.warning("%s", error)
    if frames:
        yield from torch.cat(frames).chunk(math.ceil(sum(map(len, frames)) / AT_A_TIME))
