"""The settings of a training run: one frozen dataclass per stage; field docstrings are the command line's help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from seqff.errors import ConfigError

Tolerances = float | tuple[float, ...] | Literal["falling", "calibrated"]
"""One distance for all layers, one per layer, or a rule."""


Networks = Literal["conv", "resnet18", "resnet34", "resnet50", "vgg11", "convnext_tiny", "sequential"]


@dataclass(frozen=True)
class VideoConfig:
    """Properties of videos that their files do not declare; the manifest keeps them."""

    fps: float = 0.0
    """Frames per second of numbered images and arrays; 0 = as in an existing manifest, else 25."""
    levels: str = ""
    """Samples shown as black and white in gray and RGB videos of 9 to 16 bits. used: by the bits in use, so that 12
    bits stored in 16 are as bright as 12 bits. declared: by the bits of the file. range: from the smallest sample of a
    video to its largest, for faint images. Or two samples for all videos, such as 0-4095. Empty = as in an existing
    manifest, else used."""


@dataclass(frozen=True)
class PairsConfig:
    """The frames of a batch, and its positives and negatives."""

    size_px: int = 64
    """Shorter side of the encoder's input, px (the other side follows the videos' aspect ratio)."""
    fit: Literal["crop", "letterbox", "squeeze"] = "crop"
    """Treatment of videos that differ from the median aspect ratio: cropped, padded with bars, or distorted."""
    gap: int | str = 1
    """Distance from a frame to its positive: a number of frames, or seconds of presentation time, such as 0.2s."""
    far: int | str = 8
    """Minimum distance of a negative in the same video, in frames or seconds like `gap`."""
    videos_per_batch: int = 16
    """Videos in a batch."""
    clips_per_video: int = 4
    """Clips (consecutive frames decoded together) per video in a batch, spread over the video."""
    clip_frames: int = 0
    """Frames of a clip; more than `gap`. 0 = the minimum for a pair: `gap` + 1, or 2 with a gap in seconds."""
    batches_per_visit: int = 4
    """Batches fed by one opening of a video: more means fewer openings, but more similar batches."""
    buffer_videos: int = 64
    """Videos whose decoded frames are buffered and mixed at a time."""
    crop: float = 0.8
    """Smallest share of each side that a random crop keeps (1 = no cropping)."""
    flip: bool = True
    """Mirror half of the visits."""
    brightness: float = 0.2
    """Largest relative change of the exposure (gain); gray levels also shift by up to half of it."""
    color_jitter: float = 0.0
    """Color changes per frame, 0 (none) to 1: saturation from none to doubled, hues rotated by up to a quarter of the
    circle, one frame in five gray. Use 1 if colors carry no meaning, for example if each clip has its own light or
    background; layers then ignore them, which costs accuracy if colors distinguish objects."""
    augment: Literal["shared", "clip", "independent"] = "shared"
    """Draw crop and flip once per video in a batch, per clip, or per frame."""
    photometric: Literal["shared", "clip", "independent"] = "independent"
    """The same for exposure and colors. If shared, they identify videos, and layers learn that."""
    weights: Literal["video", "frame", "sqrt"] = "video"
    """How often a video is visited: once per epoch, in proportion to its frames, or to their square root."""
    skip: Literal["none", "cuts", "still"] = "cuts"
    """Pairs excluded from the positives. cuts: pairs that span a shot cut. still: also pairs of identical frames (a
    still image, or a rate reached by repeating frames)."""
    cache: Literal["none", "u8", "jpeg"] = "none"
    """Cache decoded frames in the user's cache folder ($SEQFF_CACHE): not at all, uncompressed (3 bytes per pixel), or
    as JPEG (small, lossy)."""

    @property
    def clip_length(self) -> int:
        """Frames of a clip: `clip_frames`, with 0 resolved."""
        return self.clip_frames or (self.gap + 1 if isinstance(self.gap, int) else 2)


@dataclass(frozen=True)
class EncoderConfig:
    """The network to train."""

    name: Networks | str = "conv"
    """conv: convolution, max pooling and ReLU in each layer, set by `widths` to `pools`. A torchvision network, one
    layer per stage; timm:NAME, a timm network. sequential: your own modules, passed to `seqff.train` as `init`."""
    weights: str = ""
    """torchvision or timm networks: file with initial weights under their names (.safetensors, or a state_dict saved by
    torch.save); empty = initialized from the seed. Add `norm: none` to keep the outputs of the network."""
    widths: tuple[int, ...] = (16, 32, 128, 256)
    """Channels of each layer."""
    kernels: tuple[int, ...] = (7, 5, 3, 3)
    """Side of each layer's convolution, px of its input; odd."""
    strides: tuple[int, ...] = (2, 1, 1, 1)
    """Stride of each layer's convolution."""
    pools: tuple[int, ...] = (1, 2, 2, 1)
    """Side of the max pooling of each layer (1 = none)."""
    norm: Literal["layer", "rms", "batch", "none", "whitening"] = "layer"
    """Normalization of the input of every layer but the first: each sample to mean 0 and variance 1 (layer) or to mean
    square 1 (rms); or over the batch, each channel to mean 0 and variance 1 (batch), or channels also decorrelated
    (whitening)."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the name is that of a network."""
        if self.name not in get_args(Networks) and not self.name.startswith("timm:"):
            raise ConfigError(f"encoder.name = {self.name!r}: choose from {', '.join(get_args(Networks))}, timm:NAME")


@dataclass(frozen=True)
class NetworkConfig:
    """A network not trained by seqff, to extract features from instead of a run's encoder."""

    name: str = ""
    """resnet18, resnet34, resnet50, vgg11 or convnext_tiny of torchvision, one layer per stage; timm:NAME for timm."""
    weights: str = ""
    """File with its weights under the names of torchvision or timm (.safetensors, or a state_dict saved by torch.save);
    empty = untrained."""
    size_px: int = 224
    """Shorter side of its input, px; 224 suits published weights, a run's `pairs.size_px` gives both the same input."""


@dataclass(frozen=True)
class GoodnessConfig:
    """Forward-Forward's goodness (objective `goodness`): high for real rows, low for synthetic ones."""

    form: Literal["sum", "mean"] = "sum"
    """Sum of the squared activities, or their mean."""
    over: Literal["map", "position"] = "map"
    """One goodness for all units of a row, or one for the channels at each position of its map."""
    threshold: float = 1.0
    """theta per unit: the sum form multiplies it by the number of units."""
    loss: Literal["symba", "threshold"] = "symba"
    """Compare each real row with a synthetic one (SymBa), which learns several times faster, or each row with the
    threshold, as in the paper (with alpha 1)."""
    alpha: float = 0.03
    """Factor on the argument of the loss's sigmoid: the difference of two goodnesses, or goodness - theta."""


@dataclass(frozen=True)
class LogisticHingeConfig:
    """The logistic form of the temporal hinge (objective `logistic_hinge`)."""

    scale: float = 10.0
    """s in p(positive pair) = sigmoid(s (delta_l - d)): how sharp the tolerance is; a large s approaches the hinge."""


@dataclass(frozen=True)
class InfoNCEConfig:
    """InfoNCE (objective `infonce`): pick a row's positive among all its negatives."""

    score: Literal["cosine", "bilinear"] = "cosine"
    """Cosine of two embeddings, with both rows of a pair as anchors; or z_k . W z_n with a learned matrix W, with only
    the earlier row as anchor (CPC, Greedy InfoMax)."""
    temperature: float = 0.1
    """Divisor of the scores (1 for the bilinear score of CPC)."""


@dataclass(frozen=True)
class VICRegConfig:
    """VICReg (objective `vicreg`): positives attracted, variance in every dimension, dimensions decorrelated."""

    weights: tuple[float, float, float] = (25.0, 25.0, 1.0)
    """Weights of the mean squared difference of positives, of the hinge that keeps each dimension's standard deviation
    at 1 or more, and of the squared covariances between dimensions."""
    tolerant: bool = False
    """Positives may differ by the layer's tolerance delta_l (mean over dimensions of the squared difference)."""


@dataclass(frozen=True)
class BarlowConfig:
    """Barlow Twins (objective `barlow`): the cross-correlation matrix of positives should be the identity."""

    off_diagonal: float = 0.0051
    """lambda: weight of the correlations between different dimensions."""


@dataclass(frozen=True)
class SIGRegConfig:
    """LeJEPA's SIGReg (objective `sigreg`): positives attracted, embeddings distributed as an isotropic Gaussian."""

    weight: float = 0.05
    """lambda: weight of the distance from the Gaussian; the differences of positives get the rest."""


@dataclass(frozen=True)
class StraighteningConfig:
    """Straightening (objective `straightening`): successive steps of a video point the same way."""

    weights: tuple[float, float, float] = (1.0, 1.0, 0.04)
    """Weights of 1 - the cosine between successive steps, and of VICReg's variance and covariance terms."""


@dataclass(frozen=True)
class LPLConfig:
    """Latent predictive learning (objective `lpl`): predict the positive, keep variance high, decorrelate."""

    weights: tuple[float, float, float] = (1.0, 1.0, 10.0)
    """Weights of the mean squared difference of positives, of minus the log variance of each dimension, and of the
    squared covariances between dimensions."""


@dataclass(frozen=True)
class SCFFConfig:
    """Self-contrastive Forward-Forward (objective `scff`): goodness high for sums of positives, low for others."""

    thresholds: tuple[float, float] = (1.0, 1.0)
    """Goodness (mean square of the channels at a position) that sums of two positives should exceed, and that sums of
    two negatives should stay below."""
    penalty: float = 0.001
    """Weight of the length of the positives' goodness maps, which keeps goodness from growing without bound."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """The loss of each layer."""

    terms: tuple[str, ...] = ("temporal_hinge", "video_infonce")
    """Objectives to sum: `name`, `name:weight`, or `name:w1,w2,...` with a weight for every layer."""
    tolerance: Tolerances = "falling"
    """The distance delta_l that positives may have without cost: one number, one per layer, falling (0.2 in the first
    layer to 0.1 in the last, in geometric steps), or calibrated (measured before training and then tracked: half of the
    positives are within it in the first layer, 30 % in the last)."""
    embedding_norm: Literal["unit", "none"] = "unit"
    """Hinges compare unit vectors (unit) or unnormalized embeddings (none), whose scale then affects tolerances."""
    margin: float = 0.5
    """Distance to which negatives are pushed (of unit vectors: 0 same, 2 unrelated, 4 opposite). Distant frames of a
    video should differ, but less than unrelated ones: at 1.5, layers unlearn the content of a video."""
    negatives: Literal["all", "sampled", "hard"] = "all"
    """Negatives that a row is compared with (hinges, infonce, clapp): all in the batch, 8 of each kind (same video,
    other videos) sampled at every step, or the nearest 8 of each kind."""
    negative_weight: float = 1.0
    """Weight of the negatives relative to the positives."""
    same_video: float = 1.0
    """Share of that weight for distant frames of the same video; the rest is for other videos."""
    head: Literal["linear", "mlp", "none"] = "linear"
    """Projection head between each layer and its objective, discarded after training."""
    head_out: int = 128
    """Output features of the head."""
    grid: tuple[int, ...] = (4, 4, 2)
    """Sides of the grids to which the layers' maps are pooled before the heads, starting with the first layer; the last
    value also applies to all layers above, and a net with fewer layers uses the first values."""
    video_channels: float = 0.5
    """Share of a layer's channels for terms between videos (video_infonce); the other terms use the rest, so that they
    do not compete. 0 = all terms use all channels."""
    goodness: GoodnessConfig = field(default_factory=GoodnessConfig)
    logistic_hinge: LogisticHingeConfig = field(default_factory=LogisticHingeConfig)
    infonce: InfoNCEConfig = field(default_factory=InfoNCEConfig)
    vicreg: VICRegConfig = field(default_factory=VICRegConfig)
    barlow: BarlowConfig = field(default_factory=BarlowConfig)
    sigreg: SIGRegConfig = field(default_factory=SIGRegConfig)
    straightening: StraighteningConfig = field(default_factory=StraighteningConfig)
    lpl: LPLConfig = field(default_factory=LPLConfig)
    scff: SCFFConfig = field(default_factory=SCFFConfig)


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer of each layer and its head."""

    name: Literal["muon", "adamw", "adam", "sgd"] = "muon"
    """Optimizer. muon updates kernels and matrices by orthogonalized steps with root mean square `lr`, and biases and
    heads like adamw."""
    lr: float = 2e-3
    """Peak learning rate of a layer."""
    head_lr: float = 0.3
    """Peak learning rate of its head, as a multiple of `lr`; 0 = the head stays at its initialization. A slowly
    learning head leaves more for the layer to learn."""
    weight_decay: float = 1e-4
    """Weight decay: decoupled in muon and adamw, part of the gradient in adam and sgd."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises from 0; then it decays as a cosine."""


@dataclass(frozen=True)
class LiveConfig:
    """Training on a stream (`seqff train --stream`, `seqff.stream_learner`); not used for files."""

    new_frames: int = 16
    """New frames per step; the rest of a batch comes from the reservoir."""
    reservoir_frames: int = 4096
    """Past frames in the reservoir, a uniform sample of all, kept in memory at the encoder's input size."""
    minutes: float = 0.0
    """Time limit of the training in minutes; 0 = no limit."""
    idle_minutes: float = 0.0
    """Minutes without a frame after which a stream counts as ended; 0 = wait forever."""
    fps: float = 0.0
    """Frames per second, if known: longer gaps in time then count as missing frames. It also gives times to frames
    without timestamps, as in raw H.264, and to images of a folder. 0 = frames are counted as they arrive, with times
    from the stream, else 25 a second."""
    behind: Literal["auto", "drop", "wait"] = "auto"
    """If frames arrive faster than the layers learn: drop the oldest waiting frames (and count them), or make the
    sender wait. auto: cameras and addresses drop; files, folders, pipes and iterators wait."""
    at_end: Literal["auto", "stop", "retry"] = "auto"
    """When a source ends normally: stop, or retry as after a lost connection. auto: retry cameras and endless
    addresses."""
    retries: int = 8
    """Consecutive attempts to reopen a source before giving up, after 1 second, 2, 4 and so on up to a minute."""


@dataclass(frozen=True)
class TrainConfig:
    """All settings of `seqff train`, except seed and device."""

    steps: int = 0
    """Batches to train on. 0 = three per video, at least 600, at most 3000; for a stream, until it ends, at a constant
    learning rate after the warm-up."""
    trainer: Literal["local", "overlap", "greedy", "end_to_end", "end_to_end_sum"] = "local"
    """local: all layers at every step, each with its own loss. overlap: each loss also trains the layer below, which
    relaxes locality. greedy: one layer after the other, finished ones frozen. end_to_end, end_to_end_sum:
    backpropagation from the last layer's loss or from the sum of all, for comparison."""
    activation_checkpointing: bool = False
    """end_to_end and end_to_end_sum: save only each layer's input and recompute the rest in the backward pass."""
    greedy_cache: int = 0
    """greedy: layers above the first train on a fixed set of this many batches, such as 64, whose inputs are computed
    once and cached as bf16 in the run folder until the end. 0 = off."""
    compile: bool = False
    """Compile each layer with torch.compile; if that fails, the layer runs uncompiled with a warning."""
    stages: int = 1
    """Groups of consecutive layers assigned to the processes of torchrun; must divide the number of processes. 1: data
    parallel, with averaged gradients. As many as processes: layer parallel. In between: both."""
    gather_negatives: bool = False
    """Data parallel: compare each row with the rows of all processes, as in one large batch."""
    checkpoint_every: int = 100
    """Steps between checkpoints; the last two are kept."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Additional loggers of the same metrics: TensorBoard (RUN/tensorboard), Weights & Biases. Each needs its package:
    pip install 'seqff[tensorboard]' or 'seqff[wandb]'."""
    monitor_every: int = 25
    """Steps between comparisons of every layer with itself untrained: effective rank, spread, dead units, collapse. 0 =
    never, which also disables alarms."""
    on_collapse: Literal["warn", "stop"] = "warn"
    """When a layer has collapsed: warn and continue, or write a checkpoint and stop."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of convolutions; auto selects bf16 where the hardware supports it. Losses stay fp32."""
    workers: int = 0
    """Processes that decode video (0 = in the training process); results do not depend on it."""
    pairs: PairsConfig = field(default_factory=PairsConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    live: LiveConfig = field(default_factory=LiveConfig)
