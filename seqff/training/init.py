"""Training that begins with an encoder which is there already."""

from __future__ import annotations

import copy
import dataclasses
import os

from seqff.config import EncoderConfig, TrainConfig
from seqff.nets import Encoder, load_encoder


def begin_with(
    init: str | os.PathLike[str] | Encoder | None, config: TrainConfig
) -> tuple[TrainConfig, Encoder | None]:
    """Take up the encoder that a training begins with, if one is given.

    Args:
        init: the encoder, or the folder of one; None for fresh weights.
        config: settings of the training; `encoder` must be as by default, or that of the encoder given.

    Returns:
        The settings with those of the encoder, and a copy of it in training mode; or the settings and None.

    Raises:
        ValueError: the settings speak of another encoder.
        RunError: the folder holds none.
    """
    if init is None:
        return config, None
    encoder = copy.deepcopy(init) if isinstance(init, Encoder) else load_encoder(init)
    if config.encoder not in (EncoderConfig(), encoder.config):
        raise ValueError("init brings an encoder with its own settings: leave those of encoder out")
    return dataclasses.replace(config, encoder=encoder.config), encoder.train().requires_grad_(True)
