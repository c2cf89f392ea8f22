"""Encoders in the folder layout of the Hugging Face hub: config.json, model.safetensors and a model card."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import yaml

from seqff.errors import RunError
from seqff.files import MANIFESTS, check_folder, read_json, whole_folder, write_atomically, write_json
from seqff.nets.encoder import Encoder
from seqff.nets.io import PRETRAINED_SETTINGS, PRETRAINED_WEIGHTS, load_files, settings_of, weights_of
from seqff.untrusted import MOST_YAML_BYTES, parse_yaml, read_plain
from seqff.version import __version__

CARD = "README.md"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def save_pretrained(encoder: Encoder, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write config.json, model.safetensors and a model card (README.md), as on the Hugging Face hub.

    The card describes the training if the encoder was loaded from a run.

    Args:
        encoder: the encoder to write.
        folder: must not exist, unless overwrite is given.
        overwrite: replace an existing encoder.

    Returns:
        The folder.

    Raises:
        RunError: the folder exists or cannot be written.
    """
    folder = Path(folder)
    check_folder(folder, marker=PRETRAINED_SETTINGS, overwrite=overwrite)
    facts = training_facts(encoder.origin)  # before anything is replaced
    settings = {**settings_of(encoder), "seqff": __version__, "hash": encoder.hash(), "training": facts}
    settings["encoder"]["weights"] = Path(encoder.config.weights).name  # its path is useless elsewhere
    with whole_folder(folder):
        write_atomically(folder / PRETRAINED_WEIGHTS, weights_of(encoder, format="pt"))
        write_atomically(folder / CARD, model_card(encoder, facts))
        write_json(folder / PRETRAINED_SETTINGS, settings)
    return folder


def from_pretrained(source: str | os.PathLike[str], *, revision: str | None = None) -> Encoder:
    """Load an encoder written by `save_pretrained`, in eval mode.

    Args:
        source: its folder, or USER/REPOSITORY on the Hugging Face hub (pip install 'seqff[hub]').
        revision: branch, tag or commit on the hub.

    Raises:
        RunError: it does not exist, cannot be downloaded, or is damaged.
    """
    folder = Path(source)
    if not folder.exists() and REPOSITORY.fullmatch(str(source)):
        folder = _download(str(source), revision)
    elif revision is not None:
        raise ValueError(
            f"revision={revision!r} is for repositories on the hub, and {folder} is on disk or no name of one"
        )
    encoder = load_files(folder / PRETRAINED_SETTINGS, folder / PRETRAINED_WEIGHTS)
    encoder.origin = folder
    return encoder


def _download(repository: str, revision: str | None) -> Path:
    """Download a repository's three files into the hub's cache and return their folder."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise RunError(
            f"{repository}: no such folder; to fetch it from the Hugging Face hub: pip install 'seqff[hub]'"
        ) from error
    try:
        files = [PRETRAINED_SETTINGS, PRETRAINED_WEIGHTS, CARD]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=files))
    except (OSError, ValueError) as error:  # the client's errors derive from these
        cause = " ".join(str(error).split())[:300]
        raise RunError(f"{repository}: cannot be fetched from the Hugging Face hub: {cause}") from error


RUN_SETTINGS, RUN_ENVIRONMENT = "config.yaml", "env.json"
"""Files of a run folder."""
PACKAGES = ("seqff", "torch", "torchvision", "python")
OPENING = """\
---
library_name: seqff
pipeline_tag: image-feature-extraction
tags:
- seqff
- video
- self-supervised
- local-learning
---
"""
USE = """\
## How to use

```python
import seqff

encoder = seqff.Encoder.from_pretrained("THIS_FOLDER")  # or USER/REPOSITORY on the hub
maps = encoder(encoder.transform(frames))  # frames: (N, h, w, 3) uint8 RGB of encoder.transform.decode_size(...)
```

`maps` has one tensor (N, channels, rows, columns) a layer. Whole videos: `seqff extract THIS_FOLDER VIDEOS --out
FEATURES --baselines pixels`, or `seqff.VideoFeatures(encoder)` in a pipeline of scikit-learn.
"""
LIMITS = """\
## Limits

- It was trained without labels, only on the videos named above, and has not learned what they do not show.
- Features come from the order of frames alone, and layers suit different tasks. Compare them by `seqff probe` with the
  untrained net and raw pixels.
- Frames are resized and cropped to the size above; details smaller than a cell of a layer's map are lost there.
- Features from videos of people may identify people. Nothing was done to reduce bias.
"""


def training_facts(origin: Path | None) -> dict[str, Any]:
    """Collect the known facts about the training of an encoder.

    Returns:
        `settings` (the run's config.yaml), `videos` (usable files, frames and seconds) and `versions`, each only if
        known.
    """
    facts: dict[str, Any] = {}
    if origin is None:
        return facts
    if (origin / "config.json").is_file() and not (origin / RUN_SETTINGS).exists():
        return dict(read_json(origin / "config.json").get("training") or {})
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        settings = parse_yaml(read_plain(origin / RUN_SETTINGS, MOST_YAML_BYTES).decode())
        weights = Path(settings["encoder"].get("weights", "")).name  # paths on this machine are useless elsewhere
        settings["encoder"]["weights"] = weights
        facts["settings"] = settings
    with contextlib.suppress(RunError, KeyError, TypeError, AttributeError):  # written by an older seqff
        entries = read_json(origin / MANIFESTS[1])["entries"]
        used = [entry for entry in entries if entry.get("status") in ("ok", "damaged")]
        seconds = sum(entry["frames"] / entry["fps"] for entry in used if entry.get("fps"))
        frames = sum(entry["frames"] for entry in used)
        facts["videos"] = {"files": len(used), "frames": frames, "seconds": round(seconds, 1)}
    with contextlib.suppress(RunError):
        versions = read_json(origin / RUN_ENVIRONMENT)
        videos = versions.get("videos")
        if isinstance(videos, dict) and {*map(type, videos.values())} <= {int, float}:
            facts["videos"] = videos
        facts["versions"] = {name: versions[name] for name in PACKAGES if name in versions}
    return facts


def model_card(encoder: Encoder, facts: dict[str, Any]) -> str:
    """Return the text of README.md, given the result of `training_facts`."""
    transform, config = encoder.transform, encoder.config
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    rows = [f"| {info.name} | {info.channels} | {info.reduction} px |" for info in encoder.feature_info]
    network = "a plain conv net" if config.name == "conv" else config.name
    begun = f", started from the weights in {Path(config.weights).name}" if config.weights else ""
    what = f"""\
# Visual features from video

An encoder of seqff: {network}{begun}; {len(encoder.layers)} layers, {weights:,} weights, norm between layers:
{config.norm}. Frames come in at {transform.height} x {transform.width} px (height x width), grey level 0..1 minus
{transform.mean:g}, divided by {transform.std:g}. Digest `{encoder.hash()}`.

| layer | channels | one cell spans |
|---|---|---|
"""
    return "\n".join([OPENING + what + "\n".join(rows), "", _training(facts), USE, LIMITS])


def _training(facts: dict[str, Any]) -> str:
    """Describe the videos and the settings of the training."""
    if not facts:
        return "## Training\n\nNothing is known here of how it was trained, or whether.\n"
    lines = ["## Training", ""]
    if videos := facts.get("videos"):
        hours = videos["seconds"] / 3600
        lines.append(
            f"Trained on {videos['files']} videos without labels: {videos['frames']} frames, {hours:.2f} hours."
        )
    settings = facts.get("settings", {})
    if settings:
        terms = ", ".join(map(str, settings["objective"]["terms"]))
        lines.append(
            f"{settings['steps']} steps, trainer {settings['trainer']}, objective {terms}, seed {settings['seed']}."
        )
        if settings["trainer"] in ("local", "greedy") and not settings.get("supervised"):
            lines.append("Each layer was trained locally: no gradient passed between layers.")
        elif settings["trainer"] == "overlap":
            lines.append("Gradients passed from each layer to the one below it, and no further.")
    if versions := facts.get("versions"):
        lines.append(f"Made with {', '.join(f'{name} {version}' for name, version in versions.items())}.")
    if settings:
        text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, allow_unicode=True)
        lines += ["", "All settings, as `seqff train --config` takes them but for `seed` and `init`:", "", "```yaml"]
        lines += [text.rstrip(), "```"]
    return "\n".join([*lines, ""])
