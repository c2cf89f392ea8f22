"""Encoders on disk: encoder.json describes the architecture, safetensors files hold the weights."""

from __future__ import annotations

import copy
import dataclasses
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from seqff.config import EncoderConfig
from seqff.config_io import from_dict, to_dict
from seqff.errors import ConfigError, RunError
from seqff.files import not_there, write_atomically, write_json
from seqff.nets.conv import build_encoder
from seqff.nets.cut import CutLayer, describe, join_layers, rebuild
from seqff.nets.encoder import Encoder
from seqff.transform import FrameTransform
from seqff.untrusted import check_plain, open_plain, parse_json, read_plain

SETTINGS, TRAINED, UNTRAINED = "encoder.json", "encoder.safetensors", "encoder_untrained.safetensors"
PRETRAINED_SETTINGS, PRETRAINED_WEIGHTS = "config.json", "model.safetensors"
MAX_SETTINGS_BYTES = 1_000_000


def save_encoder(encoder: Encoder, folder: Path, *, untrained: bool = False) -> None:
    """Write an encoder into a run folder, atomically."""
    write_json(folder / SETTINGS, settings_of(encoder))
    write_atomically(folder / (UNTRAINED if untrained else TRAINED), weights_of(encoder))


def settings_of(encoder: Encoder) -> dict[str, Any]:
    """Return the data needed to rebuild the encoder."""
    settings = {
        "format": 1,
        "encoder": to_dict(encoder.config),
        "transform": encoder.transform.to_dict(),
        "layers": [vars(info) for info in encoder.feature_info],
    }
    if encoder.config.name == "sequential":
        bodies = [layer.body for layer in encoder.layers if isinstance(layer, CutLayer)]
        try:
            settings["modules"] = [describe(body) for body in bodies]
        except TypeError as error:
            settings["modules"], settings["unknown_class"] = None, str(error)
    return settings


def weights_of(encoder: Encoder, **metadata: str) -> bytes:
    """Return weights and statistics in safetensors format, with metadata."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    content: bytes = save(weights, metadata=metadata or None)
    return content


def read_settings(path: Path, missing: str) -> dict[str, Any]:
    """Read data written by `settings_of`.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        settings = parse_json(read_plain(path, MAX_SETTINGS_BYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RunError(missing) from error
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(settings, dict) or settings.get("format") != 1:
        raise RunError(f"{path}: not encoder settings of format 1, which is what this version of seqff reads")
    return settings


def load_encoder(run: str | os.PathLike[str], *, untrained: bool = False, like: Encoder | None = None) -> Encoder:
    """Load the encoder of a run, or one written by `Encoder.save_pretrained`, in eval mode.

    Args:
        run: the folder written by `train` or `save_pretrained`.
        untrained: load the net from before the first step; only runs have it.
        like: an encoder of the same kind, not modified; only used for nets with your own classes.

    Returns:
        The encoder on the CPU; `encoder.transform` prepares its input from decoded frames.

    Raises:
        RunError: there is no run, or its files are damaged or do not match.
    """
    folder = Path(run)
    if not (folder / SETTINGS).exists() and (folder / PRETRAINED_SETTINGS).exists():
        if untrained:
            raise RunError(
                f"{folder}: a pretrained encoder comes without its untrained net; leave out the baseline 'untrained'"
            )
        encoder = load_files(folder / PRETRAINED_SETTINGS, folder / PRETRAINED_WEIGHTS, like=like)
    else:
        check_plain(folder)
        weights = folder / (UNTRAINED if untrained else TRAINED)
        encoder = load_files(folder / SETTINGS, weights, like=like)
    encoder.origin = None if untrained else folder
    return encoder


def load_files(path: Path, weights: Path, *, like: Encoder | None = None) -> Encoder:
    """Build an encoder from a settings file and a weights file, in eval mode.

    Raises:
        RunError: a file is missing or damaged, or the files do not match.
    """
    settings = read_settings(
        path,
        f"{not_there(path.parent, path.name)}; a run folder is what `seqff train --out` wrote, a pretrained encoder "
        "what Encoder.save_pretrained wrote",
    )
    try:
        with torch.device("meta"):  # allocates nothing: the settings may claim any size, which the weights must match
            encoder = _build(settings, like)
        open_plain(weights).close()
        encoder.load_state_dict(load_file(weights), strict=True, assign=True)
    except FileNotFoundError as error:
        raise RunError(
            f"{path.parent}: no {weights.name} there; did the training get to its first checkpoint?"
        ) from error
    except (
        SafetensorError,
        ConfigError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
        ArithmeticError,
        OSError,
    ) as error:
        raise RunError(
            f"{weights} (with {path.name}): the encoder cannot be loaded: {' '.join(str(error).split())}"
        ) from error
    return encoder.eval()


def _build(settings: dict[str, Any], like: Encoder | None) -> Encoder:
    """Build an encoder with uninitialized weights.

    Raises:
        ValueError, ConfigError, KeyError, TypeError, RuntimeError: invalid settings.
    """
    config = from_dict(EncoderConfig, settings["encoder"])
    transform = FrameTransform(**settings["transform"])
    if config.name != "sequential":
        encoder = build_encoder(dataclasses.replace(config, weights=""), transform)
        encoder.config = config
        return encoder
    names = [info["name"] for info in settings["layers"]]
    if settings["modules"] is not None:
        return join_layers([rebuild(plain) for plain in settings["modules"]], names, transform, config)
    if like is None:
        raise ValueError(
            f"its layers hold {settings['unknown_class']}, a class of your own: give seqff.load, as like, an encoder "
            "that Encoder.from_sequential cut the same way"
        )
    if [vars(info) for info in like.feature_info] != settings["layers"] or like.transform != transform:
        raise ValueError("the encoder given as like has other layers or another transform")
    return copy.deepcopy(like).cpu()
