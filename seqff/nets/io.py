"""Encoders on disk: encoder.json says how to build one, safetensors files hold the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from seqff.config import EncoderConfig
from seqff.config_io import from_dict, to_dict
from seqff.errors import ConfigError, RunError
from seqff.files import write_atomically, write_json
from seqff.nets.conv import build_encoder
from seqff.nets.encoder import Encoder
from seqff.transform import FrameTransform

SETTINGS, TRAINED, UNTRAINED = "encoder.json", "encoder.safetensors", "encoder_untrained.safetensors"
MAX_SETTINGS_BYTES = 1_000_000


def save_encoder(encoder: Encoder, folder: Path, *, untrained: bool = False) -> None:
    """Write an encoder into a run folder, atomically.

    Args:
        encoder: what to write.
        folder: the run folder.
        untrained: these are the weights before the first step, kept as the baseline.
    """
    settings = {
        "format": 1,
        "encoder": to_dict(encoder.config),
        "transform": encoder.transform.to_dict(),
        "layers": [vars(info) for info in encoder.feature_info],
    }
    write_json(folder / SETTINGS, settings)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    write_atomically(folder / (UNTRAINED if untrained else TRAINED), save(weights))


def _settings(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_SETTINGS_BYTES:
            raise RunError(f"{path}: {path.stat().st_size} bytes is too much for encoder settings; the file is damaged")
        settings = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RunError(
            f"{path.parent}: no {path.name} there; a run folder is what `seqff train --out` wrote"
        ) from error
    except ValueError as error:
        raise RunError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(settings, dict) or settings.get("format") != 1:
        raise RunError(f"{path}: not encoder settings of format 1, which is what this version of seqff reads")
    return settings


def load_encoder(run: str | Path, *, untrained: bool = False) -> Encoder:
    """Load the encoder of a run, in eval mode.

    Args:
        run: the folder that `train` wrote.
        untrained: give the same net as it was before the first step.

    Returns:
        The encoder on the CPU; `encoder.transform` makes its input from decoded frames.

    Raises:
        RunError: no run there, or its files are damaged or do not fit each other.
    """
    folder = Path(run)
    settings = _settings(folder / SETTINGS)
    weights = folder / (UNTRAINED if untrained else TRAINED)
    try:
        transform = FrameTransform(**settings["transform"])
        encoder = build_encoder(from_dict(EncoderConfig, settings["encoder"]), transform)
        encoder.load_state_dict(load_file(weights), strict=True)
    except FileNotFoundError as error:
        raise RunError(f"{folder}: no {weights.name} there; did the training get to its first checkpoint?") from error
    except (SafetensorError, ConfigError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{weights}: the encoder cannot be loaded: {' '.join(str(error).split())}") from error
    return encoder.eval()
