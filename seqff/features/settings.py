"""The settings that features depend on: recorded at the start of an extraction, checked when it resumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqff.errors import RunError
from seqff.features.pooling import Grid
from seqff.features.sampling import Sampling
from seqff.features.store import META
from seqff.files import manifest_in, read_json, write_json
from seqff.nets import Encoder, load_encoder
from seqff.untrusted import check_plain
from seqff.version import __version__
from seqff.video import Manifest
from seqff.video.rows import column

SETTINGS = "settings.json"
BASELINES = ("untrained", "pixels")


def load_encoders(run: Path, baselines: Sequence[str]) -> dict[str, Encoder]:
    """Load the encoders of a run; keys are prefixes of array names. Raises ValueError for an unknown baseline."""
    check_baselines(baselines)
    encoders = {"": load_encoder(run)}
    if "untrained" in baselines:
        encoders["untrained/"] = load_encoder(run, untrained=True)
    return encoders


def check_baselines(baselines: Sequence[str]) -> None:
    """Raise ValueError for an unknown baseline."""
    unknown = [baseline for baseline in baselines if baseline not in BASELINES]
    if unknown:
        raise ValueError(f"baseline {unknown[0]!r}; choose from {', '.join(BASELINES)}")


def settings_of(
    run: Path, encoders: Mapping[str, Encoder], baselines: Sequence[str], grid: Grid, device: torch.device
) -> dict[str, Any]:
    """Return the settings that the features of a frame depend on."""
    hashes = {prefix: encoder.hash() for prefix, encoder in encoders.items()}
    transform = encoders[""].transform
    return {
        "encoder": {"run": str(run), "hash": hashes[""], "untrained_hash": hashes.get("untrained/")},
        "transform": transform.to_dict(),
        "transform_hash": transform.hash,
        "grid": grid,
        "baselines": [baseline for baseline in BASELINES if baseline in baselines],
        "device": device.type,
        "versions": {
            "seqff": __version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "av": version("av"),
        },
    }


def sampling_settings(sampling: Sampling) -> dict[str, Any]:
    """Return the settings of frame sampling and rows, without those that do not apply."""
    settings = asdict(sampling)
    settings["statistics"] = [] if sampling.per == "frame" else list(sampling.statistics)
    if sampling.per == "clip":
        settings["clip_stride"] = sampling.clip_stride or sampling.clip_frames
    else:
        del settings["clip_frames"], settings["clip_stride"]
    return settings


def agree(folder: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new store; raise RunError if a resumed one has different settings."""
    file = folder / SETTINGS
    if not file.exists():
        write_json(file, settings)
        return
    check_plain(folder)
    before = read_json(file)
    before.get("encoder", {})["run"] = settings["encoder"]["run"]  # the run may have moved
    changed = [name for name, value in settings.items() if before.get(name) != value]
    if changed:
        name = changed[0]
        raise RunError(
            f"{folder} was started with {name} {before.get(name)}, now it is {settings[name]}; resume with the same "
            "settings, or overwrite"
        )


def agree_on_videos(folder: Path, manifest: Manifest) -> None:
    """Raise RunError if a finished store was made from other videos."""
    if (folder / META).exists() and read_json(folder / META).get("manifest_hash") != manifest.hash:
        raise RunError(f"{folder} is finished, but for other videos; give another folder, or overwrite")


def trained_on(run: Path) -> list[str] | None:
    """Content hashes of the videos in the run's manifest; None if there is no manifest."""
    file = manifest_in(run)
    if not file.exists():
        return None
    return [content.decode() for content in np.unique(column(Manifest.load(file, older=True).usable, "content_hash"))]
