"""What features are worth: linear probes by a fixed protocol, split by whole videos."""

from seqff.probes.bootstrap import accuracy_interval as accuracy_interval
from seqff.probes.comparison import Comparison as Comparison
from seqff.probes.comparison import compare as compare
from seqff.probes.evaluate import Evaluation as Evaluation
from seqff.probes.evaluate import evaluate as evaluate
from seqff.probes.knn import NEIGHBORS as NEIGHBORS
from seqff.probes.knn import KNNProbe as KNNProbe
from seqff.probes.labels import read_groups as read_groups
from seqff.probes.labels import read_labels as read_labels
from seqff.probes.linear import LinearProbe as LinearProbe
from seqff.probes.protocol import PROTOCOL as PROTOCOL
from seqff.probes.protocol import probe as probe
from seqff.probes.results import ArrayResult as ArrayResult
from seqff.probes.results import Difference as Difference
from seqff.probes.results import LayerResult as LayerResult
from seqff.probes.results import ProbeResult as ProbeResult
from seqff.probes.ridge import RidgeProbe as RidgeProbe
from seqff.probes.similarity import Similarity as Similarity
from seqff.probes.similarity import similarity as similarity
from seqff.probes.splits import Fold as Fold
from seqff.probes.splits import make_folds as make_folds
