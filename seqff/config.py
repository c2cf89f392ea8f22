"""The settings of a training run: one frozen dataclass a stage; the field docstrings are the command line's help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from seqff.errors import ConfigError

Tolerances = float | tuple[float, ...] | Literal["falling", "calibrated"]
"""A distance for all layers, one for each of them, or how they come about."""


Networks = Literal["conv", "resnet18", "resnet34", "resnet50", "vgg11", "convnext_tiny", "sequential"]


@dataclass(frozen=True)
class VideoConfig:
    """What a scan is told about files that do not say it themselves; the manifest keeps it."""

    fps: float = 0.0
    """Numbered pictures and frames of arrays a second; 0 = as the manifest says already, else 25."""
    levels: str = ""
    """Which samples of grey and RGB pictures of 9 to 16 bits are shown black and white. used: by the bits that are
    used, so that 12 bits in 16 are as bright as 12 bits. declared: by the bits of the file. range: from the least
    sample of a video to its greatest, for faint pictures. Or two samples for all videos, such as 0-4095. Empty = as the
    manifest has it; used in a new one."""


@dataclass(frozen=True)
class PairsConfig:
    """Which frames make a batch, and what is a positive and a negative in it."""

    size_px: int = 64
    """Shorter side of the frames the encoder sees, px (the other side follows the videos' shape)."""
    fit: Literal["crop", "letterbox", "squeeze"] = "crop"
    """What becomes of videos of another shape than the median one: cut to it, shown whole between bars, or squeezed."""
    gap: int | str = 1
    """Distance from x_n to its positive: a number of frames, or seconds of presentation time, such as 0.2s."""
    far: int | str = 8
    """Least distance of a negative in the same video, in frames or seconds as `gap` is."""
    videos_per_batch: int = 16
    """Videos that share a batch."""
    clips_per_video: int = 4
    """Clips (consecutive frames decoded together) of each video in a batch, spread over the video."""
    clip_frames: int = 0
    """Frames of a clip; more than `gap`. 0 = just enough for a pair: `gap` + 1, or 2 with a gap in seconds."""
    batches_per_visit: int = 4
    """Batches that one opening of a video feeds: more means fewer openings, and batches more alike."""
    buffer_videos: int = 64
    """Videos whose decoded frames are held and mixed at a time."""
    crop: float = 0.8
    """Smallest share of each side that a random crop keeps (1 = no cropping)."""
    flip: bool = True
    """Mirror half of the visits."""
    brightness: float = 0.2
    """Largest relative change of the exposure (gain); grey levels also move by up to half of it."""
    color_jitter: float = 0.0
    """Change of the colors of each frame, 0 (none) to 1: saturation up to doubled or gone, hues turned by up to a
    quarter of the circle, one frame in five grey. 1 where colors mean nothing, such as a light or a background of each
    clip's own; they are then unlearned, which costs much where colors tell things apart."""
    augment: Literal["shared", "clip", "independent"] = "shared"
    """Draw crop and flip once for all frames of a video in a batch, for each clip, or for each frame."""
    photometric: Literal["shared", "clip", "independent"] = "independent"
    """The same of exposure and colors. What all frames of a video share tells videos apart, and layers learn that."""
    weights: Literal["video", "frame", "sqrt"] = "video"
    """How often a video is visited: each once an epoch, in proportion to its frames, or to their square root."""
    skip: Literal["none", "cuts", "still"] = "cuts"
    """Pairs that are no positives. cuts: those that span a shot cut. still: those, and the same picture twice (a still,
    or a rate made up by repeating frames)."""
    cache: Literal["none", "u8", "jpeg"] = "none"
    """Keep decoded frames in the user's cache folder ($SEQFF_CACHE): not at all, as they are (3 bytes a pixel), or as
    JPEG (small, not bit for bit)."""

    @property
    def clip_length(self) -> int:
        """Frames of a clip, `clip_frames` or what it stands for."""
        return self.clip_frames or (self.gap + 1 if isinstance(self.gap, int) else 2)


@dataclass(frozen=True)
class EncoderConfig:
    """The network whose layers learn."""

    name: Networks | str = "conv"
    """conv: convolution, max pooling, ReLU in each layer, as `widths` to `pools` say. A network of torchvision, a layer
    a stage; timm:NAME, one of timm. sequential: modules of your own, which `seqff.train` takes as `init`."""
    weights: str = ""
    """Networks of torchvision or timm: file with the weights to begin with, as these name them (.safetensors, or what
    torch.save wrote of a state_dict); empty = drawn from the seed. Add `norm: none` to keep what they compute."""
    widths: tuple[int, ...] = (16, 32, 128, 256)
    """Channels of each layer."""
    kernels: tuple[int, ...] = (7, 5, 3, 3)
    """Side of each layer's convolution, px of its input; odd."""
    strides: tuple[int, ...] = (2, 1, 1, 1)
    """Stride of each layer's convolution."""
    pools: tuple[int, ...] = (1, 2, 2, 1)
    """Side of the max pooling of each layer (1 = none)."""
    norm: Literal["layer", "rms", "batch", "none", "whitening"] = "layer"
    """Normalisation of the input of every layer but the first: each sample to mean 0 and variance 1, or to mean square
    1; or over the batch, each channel to mean 0 and variance 1, or the channels made uncorrelated as well."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the name is one of a network."""
        if self.name not in get_args(Networks) and not self.name.startswith("timm:"):
            raise ConfigError(f"encoder.name = {self.name!r}: choose from {', '.join(get_args(Networks))}, timm:NAME")


@dataclass(frozen=True)
class NetworkConfig:
    """A network that was not trained here, to extract features of in place of a run's encoder."""

    name: str = ""
    """resnet18, resnet34, resnet50, vgg11 or convnext_tiny of torchvision, a layer a stage; timm:NAME, one of timm."""
    weights: str = ""
    """File with its weights, as torchvision or timm name them (.safetensors, or what torch.save wrote of a state_dict);
    empty = it is untrained."""
    size_px: int = 224
    """Shorter side of the frames that it sees, px; 224 suits published weights, that of a run (`pairs.size_px`) makes
    the two see the same."""


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


@dataclass(frozen=True)
class OptimConfig:
    """The optimizer that every layer has for itself and its head."""

    name: Literal["muon", "adamw", "adam", "sgd"] = "muon"
    """Kind of optimizer. muon moves kernels and matrices by steps in which all directions count alike, `lr` in the root
    mean square, and biases and heads as adamw does."""
    lr: float = 2e-3
    """Peak learning rate of a layer."""
    head_lr: float = 0.3
    """Peak learning rate of its head, as a multiple of `lr`; 0 = the head stays as it was drawn. What a slow head does
    not take up is left for the layer to learn."""
    weight_decay: float = 1e-4
    """Weight decay: decoupled in muon and adamw, part of the gradient in adam and sgd."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises from 0; then it falls as a cosine."""


@dataclass(frozen=True)
class LiveConfig:
    """Training on a stream (`seqff train --stream`, `seqff.stream_learner`); of no meaning for files."""

    new_frames: int = 16
    """Frames that must come between two steps; they are in the next batch, the rest of it is from the reservoir."""
    reservoir_frames: int = 4096
    """Past frames that are held, in memory at the size the encoder sees, drawn evenly from all that came."""
    minutes: float = 0.0
    """Minutes after which the training ends, if `steps` have not ended it; 0 = no limit."""
    idle_minutes: float = 0.0
    """Minutes without a frame after which a stream counts as ended; 0 = it is waited for."""
    fps: float = 0.0
    """Frames per second, where they are known: longer distances in time then count as missing frames.
    Frames that bear no times, as in raw H.264, and images of a folder have times by it. 0 = frames are counted as they
    come, have times by what their stream says, or else by 25 a second."""
    behind: Literal["auto", "drop", "wait"] = "auto"
    """When frames come faster than the layers learn: drop the oldest that wait (and count them), or make the sender
    wait. auto: cameras and addresses drop; files, folders, pipes and iterators wait."""
    at_end: Literal["auto", "stop", "retry"] = "auto"
    """When a source ends in good order: the training ends, or more is waited for as after a lost connection. auto:
    cameras and endless addresses are waited for."""
    retries: int = 8
    """Attempts in a row to open a source again before it is given up; after 1 second, 2, 4 and so on up to a minute."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything `seqff train` can be told, seeds and devices aside."""

    steps: int = 0
    """Batches to train on. 0 = as many as fit the videos: three a video, at least 600, at most 3000; of a stream, until
    it ends, at a constant learning rate after the warm-up."""
    trainer: Literal["local", "overlap", "greedy", "end_to_end", "end_to_end_sum"] = "local"
    """local: all layers at every step, each by its own loss. overlap: each loss moves the layer below as well, and none
    further down, which bends locality. greedy: layer after layer, the finished ones frozen.
    end_to_end, end_to_end_sum: backpropagation from the last layer's loss or from the sum of all, to compare with."""
    activation_checkpointing: bool = False
    """end_to_end and end_to_end_sum: keep only each layer's input and compute the rest again on the way back."""
    greedy_cache: int = 0
    """greedy: layers above the first train on a fixed set of so many batches, such as 64, computed once and then read
    from disk. What the layers below make of them lies in the run folder as bf16, and is removed at the end. 0 = off."""
    compile: bool = False
    """Compile each layer with torch.compile; where that fails, a warning says so and the layer runs uncompiled."""
    stages: int = 1
    """Groups of consecutive layers that the processes of torchrun share out; must divide their number. 1: every process
    has all layers and batches of its own, and gradients are averaged. As many as processes: each has some layers. In
    between: both."""
    gather_negatives: bool = False
    """Several processes on batches of their own: compare each row with the rows of all, as in one large batch."""
    checkpoint_every: int = 100
    """Steps between checkpoints; the last two are kept."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where the same figures go besides, under the same names: TensorBoard (RUN/tensorboard), Weights & Biases. Each
    needs its package: pip install 'seqff[tensorboard]' or 'seqff[wandb]'."""
    monitor_every: int = 25
    """Steps between looks at every layer beside itself untrained: effective rank, spread, dead units, and whether it
    has collapsed. 0 = never, and then no alarm comes."""
    on_collapse: Literal["warn", "stop"] = "warn"
    """When a layer has collapsed: say so and go on, or write a checkpoint and stop."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """What convolutions are computed in; auto takes bf16 where the hardware multiplies it. Losses stay fp32."""
    workers: int = 0
    """Processes that decode video (0 = in the training process); the numbers do not depend on it."""
    pairs: PairsConfig = field(default_factory=PairsConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    live: LiveConfig = field(default_factory=LiveConfig)
