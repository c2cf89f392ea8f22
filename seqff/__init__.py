"""seqff: visual features from folders of unlabelled video, learned layer by layer.

The public names; torch is imported only when one of them is used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
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
    from seqff.features.video_features import VideoFeatures as VideoFeatures
    from seqff.forward_forward import ForwardForward as ForwardForward
    from seqff.forward_forward import load_forward_forward as load_forward_forward
    from seqff.forward_forward import save_forward_forward as save_forward_forward
    from seqff.nets import Encoder as Encoder
    from seqff.nets import convert as convert
    from seqff.nets import load_encoder as load  # noqa: F401
    from seqff.online import StreamLearner as StreamLearner
    from seqff.online import stream_learner as stream_learner
    from seqff.probes import KNNProbe as KNNProbe
    from seqff.probes import LinearProbe as LinearProbe
    from seqff.probes import RidgeProbe as RidgeProbe
    from seqff.probes import compare as compare
    from seqff.probes import evaluate as evaluate
    from seqff.probes import probe as probe
    from seqff.probes import similarity as similarity
    from seqff.report import report as report
    from seqff.train import train as train
    from seqff.training.dry_run import dry_run as dry_run
    from seqff.video import Manifest as Manifest
    from seqff.video import open_video as open_video
    from seqff.video import scan as scan
    from seqff.watch import watch as watch

_HOMES = {
    "Encoder": ("seqff.nets", "Encoder"),
    "FeatureStore": ("seqff.features", "FeatureStore"),
    "ForwardForward": ("seqff.forward_forward", "ForwardForward"),
    "KNNProbe": ("seqff.probes", "KNNProbe"),
    "LinearProbe": ("seqff.probes", "LinearProbe"),
    "Manifest": ("seqff.video", "Manifest"),
    "RidgeProbe": ("seqff.probes", "RidgeProbe"),
    "SeqffError": ("seqff.errors", "SeqffError"),
    "StreamLearner": ("seqff.online", "StreamLearner"),
    "TrainConfig": ("seqff.config", "TrainConfig"),
    "VideoFeatures": ("seqff.features.video_features", "VideoFeatures"),
    "VideoError": ("seqff.errors", "VideoError"),
    "compare": ("seqff.probes", "compare"),
    "convert": ("seqff.nets", "convert"),
    "demo": ("seqff.demo", "demo"),
    "doctor": ("seqff.doctor", "doctor"),
    "export": ("seqff.features", "export"),
    "dry_run": ("seqff.training.dry_run", "dry_run"),
    "evaluate": ("seqff.probes", "evaluate"),
    "extract": ("seqff.features", "extract"),
    "load": ("seqff.nets", "load_encoder"),
    "load_forward_forward": ("seqff.forward_forward", "load_forward_forward"),
    "open_video": ("seqff.video", "open_video"),
    "probe": ("seqff.probes", "probe"),
    "report": ("seqff.report", "report"),
    "save_forward_forward": ("seqff.forward_forward", "save_forward_forward"),
    "scan": ("seqff.video", "scan"),
    "similarity": ("seqff.probes", "similarity"),
    "stream_learner": ("seqff.online", "stream_learner"),
    "train": ("seqff.train", "train"),
    "watch": ("seqff.watch", "watch"),
}
__all__ = [*sorted(_HOMES), "__version__"]


class _Package(ModuleType):
    """The package, in which a name shared by a function and its module (demo, doctor, ...) is always the function.

    Importing a module makes it an attribute of its package; `seqff.report(...)` must work after that, too.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOMES.get(name, ("", ""))[0] == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


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
