"""seqff: visual features from folders of unlabelled video, learned layer by layer.

The public names; torch is imported only when one of them is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seqff.version import __version__ as __version__

if TYPE_CHECKING:
    from seqff.config import TrainConfig as TrainConfig
    from seqff.demo import demo as demo
    from seqff.doctor import doctor as doctor
    from seqff.errors import SeqffError as SeqffError
    from seqff.errors import VideoError as VideoError
    from seqff.features import FeatureStore as FeatureStore
    from seqff.features import export as export
    from seqff.features import extract as extract
    from seqff.nets import Encoder as Encoder
    from seqff.nets import load_encoder as load  # noqa: F401
    from seqff.probes import probe as probe
    from seqff.training import train as train
    from seqff.training.forward_forward import ForwardForward as ForwardForward
    from seqff.training.forward_forward_io import load_forward_forward as load_forward_forward
    from seqff.training.forward_forward_io import save_forward_forward as save_forward_forward
    from seqff.video import Manifest as Manifest
    from seqff.video import open_video as open_video
    from seqff.video import scan as scan

_HOMES = {
    "Encoder": ("seqff.nets", "Encoder"),
    "FeatureStore": ("seqff.features", "FeatureStore"),
    "ForwardForward": ("seqff.training.forward_forward", "ForwardForward"),
    "Manifest": ("seqff.video", "Manifest"),
    "SeqffError": ("seqff.errors", "SeqffError"),
    "TrainConfig": ("seqff.config", "TrainConfig"),
    "VideoError": ("seqff.errors", "VideoError"),
    "demo": ("seqff.demo", "demo"),
    "doctor": ("seqff.doctor", "doctor"),
    "export": ("seqff.features", "export"),
    "extract": ("seqff.features", "extract"),
    "load": ("seqff.nets", "load_encoder"),
    "load_forward_forward": ("seqff.training.forward_forward_io", "load_forward_forward"),
    "open_video": ("seqff.video", "open_video"),
    "probe": ("seqff.probes", "probe"),
    "save_forward_forward": ("seqff.training.forward_forward_io", "save_forward_forward"),
    "scan": ("seqff.video", "scan"),
    "train": ("seqff.training", "train"),
}
__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'seqff' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
