"""The settings of what a layer minimises: one frozen dataclass an objective, and the one that adds them up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class GoodnessConfig:
    """Forward-Forward's goodness (objective `goodness`): high for real rows, low for made-up ones."""

    form: Literal["sum", "mean"] = "sum"
    """Sum of the squared activities, or their mean."""
    over: Literal["map", "position"] = "map"
    """Goodness of all units of a row together, or of the channels at each place of its map."""
    threshold: float = 1.0
    """theta for every unit: the sum form multiplies it by the number of units it sums."""
    loss: Literal["symba", "threshold"] = "symba"
    """Each real row against a made-up one (SymBa), which learns several times faster, or each row against the
    threshold, as in the paper (with alpha 1)."""
    alpha: float = 0.03
    """Factor on what the loss's sigmoid sees: the difference of two goodnesses, or goodness - theta."""


@dataclass(frozen=True)
class LogisticHingeConfig:
    """The logistic form of the temporal hinge (objective `logistic_hinge`)."""

    scale: float = 10.0
    """s in p(positive pair) = sigmoid(s (delta_l - d)): how sharply the tolerance is drawn; a large s is the hinge."""


@dataclass(frozen=True)
class InfoNCEConfig:
    """InfoNCE (objective `infonce`): tell a row's positive from all its negatives."""

    score: Literal["cosine", "bilinear"] = "cosine"
    """Cosine of two embeddings, or z_k . W z_n with a matrix W that the layer learns (CPC, Greedy InfoMax)."""
    temperature: float = 0.1
    """What scores are divided by (1 for the bilinear score of CPC)."""
    symmetric: bool = True
    """Both rows of a pair look for each other; off: the earlier one for the later one, as in CPC."""


@dataclass(frozen=True)
class CLAPPConfig:
    """CLAPP (objective `clapp`): predict the positive, not the negatives, through a matrix that the layer learns."""

    negatives: Literal["all", "one"] = "all"
    """Contrast each positive with all negatives of its row, or with one of them."""


@dataclass(frozen=True)
class VICRegConfig:
    """VICReg (objective `vicreg`): positives alike, every dimension alive, dimensions uncorrelated."""

    invariance: float = 25.0
    """Weight of the mean squared difference of positives."""
    variance: float = 25.0
    """Weight of the hinge that holds each dimension's standard deviation up."""
    covariance: float = 1.0
    """Weight of the squared covariances between dimensions."""
    deviation: float = 1.0
    """gamma: the standard deviation that each dimension is held up to."""
    tolerant: bool = False
    """Positives may differ by the layer's tolerance delta_l (mean over dimensions of the squared difference)."""


@dataclass(frozen=True)
class BarlowConfig:
    """Barlow Twins (objective `barlow`): the correlations between two positives are to be the identity matrix."""

    off_diagonal: float = 0.0051
    """lambda: weight of the correlations between different dimensions."""


@dataclass(frozen=True)
class SIGRegConfig:
    """LeJEPA's SIGReg (objective `sigreg`): positives alike, embeddings distributed as an isotropic Gaussian."""

    weight: float = 0.05
    """lambda: weight of the distance from the Gaussian; the rest is of the positives' differences."""
    directions: int = 256
    """Random directions on which the embeddings are projected at each step."""


@dataclass(frozen=True)
class StraighteningConfig:
    """Straightening (objective `straightening`): successive steps of a video point the same way."""

    straightness: float = 1.0
    """Weight of 1 - the cosine between successive steps."""
    variance: float = 1.0
    """Weight of VICReg's hinge that holds each dimension's standard deviation up."""
    covariance: float = 0.04
    """Weight of the squared covariances between dimensions."""


@dataclass(frozen=True)
class LPLConfig:
    """Latent predictive learning (objective `lpl`): predict the positive, keep variance up, decorrelate."""

    predictive: float = 1.0
    """Weight of the mean squared difference of positives."""
    hebbian: float = 1.0
    """Weight of minus the log variance of each dimension."""
    decorrelation: float = 10.0
    """Weight of the squared covariances between dimensions."""


@dataclass(frozen=True)
class SlownessConfig:
    """Slow feature analysis (objective `slowness`): positives alike after whitening."""

    noise: float = 0.01
    """Variance of the noise thought into each dimension, as a share of the mean variance: dead dimensions count as
    fast, and a batch with fewer rows than dimensions can be whitened."""


@dataclass(frozen=True)
class SCFFConfig:
    """Self-contrastive Forward-Forward (objective `scff`): goodness high for sums of positives, low for others."""

    threshold_positive: float = 1.0
    """Goodness (mean square of the channels at a place) that sums of two positives are to exceed."""
    threshold_negative: float = 1.0
    """Goodness that sums of two negatives are to stay below."""
    penalty: float = 0.001
    """Weight of the length of the positives' goodness maps, so that goodness does not grow without end."""


@dataclass(frozen=True)
class VideoInfoNCEConfig:
    """InfoNCE between videos (objective `video_infonce`): tell a frame's video from all others in the batch."""

    temperature: float = 0.1
    """What cosines are divided by."""


@dataclass(frozen=True)
class VideoHingeConfig:
    """The video hinge (objective `video_hinge`): all frames of a video alike, other videos different."""

    tolerance: float = 0.1
    """Distance that frames of one video may keep (0 same, 2 unrelated, 4 opposite)."""
    margin: float = 1.5
    """Distance that frames of different videos are pushed to."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What each layer minimises by itself."""

    terms: tuple[str, ...] = ("temporal_hinge", "video_infonce")
    """Objectives, added up: `name`, `name:weight`, or `name:w1,w2,...` with a weight for every layer."""
    tolerance: Literal["calibrated", "constant", "linear", "geometric", "explicit"] = "geometric"
    """How the tolerances delta_l come about: quantiles of distances measured before training and tracked during it;
    one number, a linear or a geometric schedule; or a list."""
    tolerance_quantiles: tuple[float, float] = (0.5, 0.3)
    """calibrated: share of positives within the tolerance, first layer and last; linear in between."""
    tolerance_range: tuple[float, float] = (0.2, 0.1)
    """constant, linear, geometric: delta of the first layer and of the last (the same number twice: of every layer)."""
    tolerances: tuple[float, ...] = ()
    """explicit: delta of every layer."""
    embedding_norm: Literal["unit", "rms", "none"] = "unit"
    """Hinges compare embeddings as unit vectors, as vectors of mean square 1 (distances grow with their dimension), or
    as they are, and then their scale decides what a tolerance means."""
    margin: float = 0.5
    """Distance that negatives are pushed to (embeddings are unit vectors: 0 same, 2 unrelated, 4 opposite). Distant
    frames of the same video are to differ, but less than unrelated ones do: pushed to 1.5, layers unlearn what a video
    shows."""
    margin_quantile: float = 0.0
    """Measure the margin before training: the distance below which this share of the negatives lies. 0 = `margin`."""
    negatives: Literal["all", "sampled", "hard"] = "all"
    """Which negatives of the batch a row is compared with (hinges, infonce, clapp): all, `negatives_k` of each kind
    (same video, other videos) drawn anew at every step, or the nearest `negatives_k` of each kind."""
    negatives_k: int = 8
    """sampled, hard: negatives of each kind that a row keeps."""
    queue: int = 0
    """Embeddings of past batches that stand beside the batch's own as negatives of other videos; 0 = none."""
    negative_weight: float = 1.0
    """Weight of the negatives against the positives."""
    same_video: float = 1.0
    """Share of that weight that goes to distant frames of the same video; the rest goes to other videos."""
    head: Literal["linear", "mlp", "none"] = "linear"
    """The throw-away projector that each layer's objective looks through."""
    head_width: int = 256
    """Hidden units of the mlp head."""
    head_out: int = 128
    """Outputs of the head."""
    grid: tuple[int, ...] = (4, 4, 2)
    """Sides of the grids to which layers' maps are pooled before the heads, from the first layer on; the last one is
    for all layers above, too, and a net of fewer layers takes the first ones."""
    video_channels: float = 0.5
    """Share of a layer's channels that terms between videos (video_infonce, video_hinge) see; the other terms see the
    rest, so that neither has to give up what the other wants. 0 = all terms see all channels."""
    goodness: GoodnessConfig = field(default_factory=GoodnessConfig)
    logistic_hinge: LogisticHingeConfig = field(default_factory=LogisticHingeConfig)
    infonce: InfoNCEConfig = field(default_factory=InfoNCEConfig)
    clapp: CLAPPConfig = field(default_factory=CLAPPConfig)
    vicreg: VICRegConfig = field(default_factory=VICRegConfig)
    barlow: BarlowConfig = field(default_factory=BarlowConfig)
    sigreg: SIGRegConfig = field(default_factory=SIGRegConfig)
    straightening: StraighteningConfig = field(default_factory=StraighteningConfig)
    lpl: LPLConfig = field(default_factory=LPLConfig)
    slowness: SlownessConfig = field(default_factory=SlownessConfig)
    scff: SCFFConfig = field(default_factory=SCFFConfig)
    video_infonce: VideoInfoNCEConfig = field(default_factory=VideoInfoNCEConfig)
    video_hinge: VideoHingeConfig = field(default_factory=VideoHingeConfig)
