"""The settings of what a layer minimises: one frozen dataclass an objective, and the one that adds them up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Tolerances = float | tuple[float, ...] | Literal["falling", "calibrated"]
"""A distance for all layers, one for each of them, or how they come about."""


@dataclass(frozen=True)
class GoodnessConfig:
    """Forward-Forward's goodness (objective `goodness`): high for real rows, low for synthetic ones."""

    form: Literal["sum", "mean"] = "sum"
    """Sum of the squared activities, or their mean."""
    over: Literal["map", "position"] = "map"
    """Goodness of all units of a row together, or of the channels at each place of its map."""
    threshold: float = 1.0
    """theta for every unit: the sum form multiplies it by the number of units it sums."""
    loss: Literal["symba", "threshold"] = "symba"
    """Each real row against a synthetic one (SymBa), which learns several times faster, or each row against the
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
    """Cosine of two embeddings, and both rows of a pair look for each other; or z_k . W z_n with a matrix W that the
    layer learns, and the earlier row looks for the later one (CPC, Greedy InfoMax)."""
    temperature: float = 0.1
    """What scores are divided by (1 for the bilinear score of CPC)."""


@dataclass(frozen=True)
class VICRegConfig:
    """VICReg (objective `vicreg`): positives alike, every dimension alive, dimensions uncorrelated."""

    weights: tuple[float, float, float] = (25.0, 25.0, 1.0)
    """Of the mean squared difference of positives, of the hinge that holds each dimension's standard deviation up to 1,
    and of the squared covariances between dimensions."""
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


@dataclass(frozen=True)
class StraighteningConfig:
    """Straightening (objective `straightening`): successive steps of a video point the same way."""

    weights: tuple[float, float, float] = (1.0, 1.0, 0.04)
    """Of 1 - the cosine between successive steps, and of VICReg's variance and covariance terms."""


@dataclass(frozen=True)
class LPLConfig:
    """Latent predictive learning (objective `lpl`): predict the positive, keep variance up, decorrelate."""

    weights: tuple[float, float, float] = (1.0, 1.0, 10.0)
    """Of the mean squared difference of positives, of minus the log variance of each dimension, and of the squared
    covariances between dimensions."""


@dataclass(frozen=True)
class SCFFConfig:
    """Self-contrastive Forward-Forward (objective `scff`): goodness high for sums of positives, low for others."""

    thresholds: tuple[float, float] = (1.0, 1.0)
    """Goodness (mean square of the channels at a place) that sums of two positives are to exceed, and that sums of two
    negatives are to stay below."""
    penalty: float = 0.001
    """Weight of the length of the positives' goodness maps, so that goodness does not grow without end."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What each layer minimises by itself."""

    terms: tuple[str, ...] = ("temporal_hinge", "video_infonce")
    """Objectives, added up: `name`, `name:weight`, or `name:w1,w2,...` with a weight for every layer."""
    tolerance: Tolerances = "falling"
    """The distance delta_l that positives may keep: one number, a number for every layer, falling (0.2 in the first
    layer to 0.1 in the last, by the same factor from layer to layer), or calibrated (measured before training and
    tracked during it: half of the positives are within it in the first layer, 30 % in the last)."""
    embedding_norm: Literal["unit", "none"] = "unit"
    """Hinges compare embeddings as unit vectors, or as they are: their scale then decides what a tolerance means."""
    margin: float = 0.5
    """Distance that negatives are pushed to (embeddings are unit vectors: 0 same, 2 unrelated, 4 opposite). Distant
    frames of the same video are to differ, but less than unrelated ones do: pushed to 1.5, layers unlearn what a video
    shows."""
    negatives: Literal["all", "sampled", "hard"] = "all"
    """Which negatives of the batch a row is compared with (hinges, infonce, clapp): all, 8 of each kind (same video,
    other videos) drawn anew at every step, or the nearest 8 of each kind."""
    negative_weight: float = 1.0
    """Weight of the negatives against the positives."""
    same_video: float = 1.0
    """Fraction of that weight that goes to distant frames of the same video; the rest goes to other videos."""
    head: Literal["linear", "mlp", "none"] = "linear"
    """The throw-away projector that each layer's objective looks through."""
    head_out: int = 128
    """Outputs of the head."""
    grid: tuple[int, ...] = (4, 4, 2)
    """Sides of the grids to which layers' maps are pooled before the heads, from the first layer on; the last one is
    for all layers above, too, and a net of fewer layers takes the first ones."""
    video_channels: float = 0.5
    """Fraction of a layer's channels that terms between videos (video_infonce) see; the other terms see the rest, so
    that neither has to give up what the other wants. 0 = all terms see all channels."""
    goodness: GoodnessConfig = field(default_factory=GoodnessConfig)
    logistic_hinge: LogisticHingeConfig = field(default_factory=LogisticHingeConfig)
    infonce: InfoNCEConfig = field(default_factory=InfoNCEConfig)
    vicreg: VICRegConfig = field(default_factory=VICRegConfig)
    barlow: BarlowConfig = field(default_factory=BarlowConfig)
    sigreg: SIGRegConfig = field(default_factory=SIGRegConfig)
    straightening: StraighteningConfig = field(default_factory=StraighteningConfig)
    lpl: LPLConfig = field(default_factory=LPLConfig)
    scff: SCFFConfig = field(default_factory=SCFFConfig)
