"""From the settings to an encoder."""

from __future__ import annotations

from seqff.config import EncoderConfig
from seqff.nets.backbones import STAGES, build_backbone
from seqff.nets.conv import build_conv
from seqff.nets.encoder import Encoder
from seqff.transform import FrameTransform


def build_encoder(config: EncoderConfig, transform: FrameTransform, *, seed: int = 0) -> Encoder:
    """Build an encoder with weights drawn from the seed, or read from `config.weights`.

    Args:
        config: which network, and its settings.
        transform: how frames come in; kept as `encoder.transform`.
        seed: of the initial weights; the same seed gives the same weights.

    Raises:
        ValueError: settings that fit neither each other nor the input, or nothing that settings alone can build.
        RunError: the file of weights cannot be read, or holds those of another network.
    """
    if config.name in STAGES:
        return build_backbone(config, transform, seed=seed)
    if config.name != "conv":
        raise ValueError(
            f"encoder.name={config.name} is for modules of your own: give seqff.train what "
            "Encoder.from_sequential(...) returns, as init"
        )
    if config.weights:
        raise ValueError(
            f"encoder.weights={config.weights} is for networks of torchvision, encoder.name is conv: to begin with an "
            "encoder of seqff, give its folder as init"
        )
    return build_conv(config, transform, seed=seed)
