"""The public names and the modules that define them; `__init__.py` reads this file, too."""

from seqff.config import TrainConfig as TrainConfig
from seqff.convert import convert as convert
from seqff.demo import demo as demo
from seqff.doctor import doctor as doctor
from seqff.errors import SeqffError as SeqffError
from seqff.errors import VideoError as VideoError
from seqff.explore import classify as classify
from seqff.explore import cluster as cluster
from seqff.explore import search as search
from seqff.features import FeatureStore as FeatureStore
from seqff.features import export as export
from seqff.features import extract as extract
from seqff.features.video_features import VideoFeatures as VideoFeatures
from seqff.forward_forward import ForwardForward as ForwardForward
from seqff.forward_forward import load_forward_forward as load_forward_forward
from seqff.forward_forward import save_forward_forward as save_forward_forward
from seqff.nets import Encoder as Encoder
from seqff.nets import load_encoder as load  # noqa: F401
from seqff.online import StreamLearner as StreamLearner
from seqff.online import stream_learner as stream_learner
from seqff.probes import KNNProbe as KNNProbe
from seqff.probes import LinearProbe as LinearProbe
from seqff.probes import ProbeResult as ProbeResult
from seqff.probes import RidgeProbe as RidgeProbe
from seqff.probes import compare as compare
from seqff.probes import evaluate as evaluate
from seqff.probes import probe as probe
from seqff.probes import similarity as similarity
from seqff.report import report as report
from seqff.train import train as train
from seqff.training.dry_run_result import DryRun as DryRun
from seqff.training.run_folder import Run as Run
from seqff.version import __version__ as __version__
from seqff.video import Manifest as Manifest
from seqff.video import open_video as open_video
from seqff.video import pack as pack
from seqff.video import scan as scan
from seqff.watch import watch as watch

__all__: list[str]
