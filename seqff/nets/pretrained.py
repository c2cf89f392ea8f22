"""Encoders in a folder as the Hugging Face hub has them: config.json, model.safetensors and a model card."""

from __future__ import annotations

import os
import re
from pathlib import Path

from seqff.errors import RunError
from seqff.files import check_folder, whole_folder, write_atomically, write_json
from seqff.nets.card import model_card, training_facts
from seqff.nets.encoder import Encoder
from seqff.nets.io import PRETRAINED_SETTINGS, PRETRAINED_WEIGHTS, load_files, settings_of, weights_of
from seqff.version import __version__

CARD = "README.md"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def save_pretrained(encoder: Encoder, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write config.json, model.safetensors and README.md, a model card: a folder as the Hugging Face hub has them.

    What the card says of the training comes from the run that the encoder was loaded from.

    Args:
        encoder: whose settings and weights.
        folder: must not exist, unless overwrite is given.
        overwrite: replace an encoder that is there.

    Returns:
        The folder.

    Raises:
        RunError: the folder is in the way or cannot be written.
    """
    folder = Path(folder)
    check_folder(folder, marker=PRETRAINED_SETTINGS, overwrite=overwrite)
    facts = training_facts(encoder.origin)  # before anything there is replaced
    settings = {**settings_of(encoder), "seqff": __version__, "hash": encoder.hash(), "training": facts}
    settings["encoder"]["weights"] = Path(encoder.config.weights).name  # where they lay on this machine helps nobody
    with whole_folder(folder):
        write_atomically(folder / PRETRAINED_WEIGHTS, weights_of(encoder, format="pt"))
        write_atomically(folder / CARD, model_card(encoder, facts))
        write_json(folder / PRETRAINED_SETTINGS, settings)
    return folder


def from_pretrained(source: str | os.PathLike[str], *, revision: str | None = None) -> Encoder:
    """Load an encoder that `save_pretrained` wrote, in eval mode.

    Args:
        source: its folder, or USER/REPOSITORY on the Hugging Face hub (pip install 'seqff[hub]').
        revision: branch, tag or commit on the hub.

    Raises:
        RunError: there is none, it cannot be downloaded, or its files are damaged.
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
    """Fetch a repository's three files into the hub's cache and return their folder."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise RunError(
            f"{repository}: no such folder; to fetch it from the Hugging Face hub: pip install 'seqff[hub]'"
        ) from error
    try:
        files = [PRETRAINED_SETTINGS, PRETRAINED_WEIGHTS, CARD]
        return Path(snapshot_download(repository, revision=revision, allow_patterns=files))
    except (OSError, ValueError) as error:  # the client's errors are of these kinds
        cause = " ".join(str(error).split())[:300]
        raise RunError(f"{repository}: cannot be fetched from the Hugging Face hub: {cause}") from error
