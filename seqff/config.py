"""The settings of a training run: one frozen dataclass a stage; the field docstrings are the command line's help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class PairsConfig:
    """Which frames make a batch, and what is a positive and a negative in it."""

    size_px: int = 64
    """Shorter side of the frames the encoder sees, px (the other side follows the videos' shape)."""
    gap: int = 1
    """Frames between x_n and its positive."""
    far: int = 8
    """Minimum distance, in frames, of a negative in the same video."""
    videos_per_batch: int = 16
    """Videos that share a batch."""
    stretches: int = 4
    """Stretches (consecutive frames decoded together) of each video in a batch, spread over the video."""
    stretch_frames: int = 2
    """Frames of a stretch; more than `gap`."""
    every: int = 1
    """Take every n-th frame of a stretch; with `gap` itself every frame taken has a partner. Must divide `gap`."""
    uses: int = 4
    """Batches that one opening of a video feeds: more means fewer openings and more alike batches."""
    buffer_videos: int = 64
    """Videos whose decoded frames are held and mixed at a time."""
    crop: float = 0.7
    """Smallest share of each side that a random crop keeps (1 = no cropping)."""
    flip: bool = True
    """Mirror half of the visits."""
    jitter: float = 0.2
    """Largest relative change of the exposure (gain); grey levels also move by up to half of it."""
    augment: Literal["shared", "stretch", "independent"] = "shared"
    """Draw crop, flip and jitter once for all frames of a video in a batch, for each stretch, or for each frame."""
    gap_seconds: float = 0.0
    """Seconds between x_n and its positive, by presentation time; 0 = `gap` counts, in frames."""
    far_seconds: float = 0.0
    """Minimum distance of a negative in the same video, seconds; given together with `gap_seconds`."""
    weights: Literal["video", "frame", "sqrt"] = "video"
    """How often a video is visited: each once an epoch, in proportion to its frames, or to their square root."""
    skip_cuts: bool = True
    """No positive pair spans a shot cut."""
    skip_still: bool = False
    """No positive pair is the same picture twice (a still, or a rate made up by repeating frames)."""
    cache: Literal["none", "u8", "jpeg"] = "none"
    """Keep decoded frames on disk: not at all, as they are (3 bytes a pixel), or as JPEG (small, not bit for bit)."""
    cache_folder: str = ""
    """Where that cache lies; empty = the user's cache folder."""


@dataclass(frozen=True)
class EncoderConfig:
    """The plain conv encoder: convolution, max pooling, ReLU."""

    widths: tuple[int, ...] = (16, 32, 128, 256)
    """Channels of each layer."""
    kernels: tuple[int, ...] = (7, 3, 3, 3)
    """Side of each layer's convolution, px of its input; odd."""
    strides: tuple[int, ...] = (2, 1, 1, 1)
    """Stride of each layer's convolution."""
    pools: tuple[int, ...] = (1, 2, 2, 1)
    """Side of the max pooling of each layer (1 = none)."""
    norm: Literal["layer", "rms", "batch", "none"] = "layer"
    """Normalisation of the input of every layer but the first."""


@dataclass(frozen=True)
class ObjectiveConfig:
    """What each layer minimises by itself."""

    terms: tuple[str, ...] = ("temporal_hinge",)
    """Objectives, added up: `name`, `name:weight`, or `name:w1,w2,...` with a weight for every layer."""
    tolerance: Literal["calibrated", "geometric", "explicit"] = "geometric"
    """How the tolerances delta_l come about: quantiles of measured distances, a geometric schedule, or a list."""
    tolerance_quantiles: tuple[float, float] = (0.9, 0.7)
    """calibrated: share of positives within the tolerance, first layer and last; linear in between."""
    tolerance_range: tuple[float, float] = (0.1, 0.1)
    """geometric: delta of the first layer and of the last (the same number twice: of every layer)."""
    tolerances: tuple[float, ...] = ()
    """explicit: delta of every layer."""
    margin: float = 1.5
    """Distance that negatives are pushed to (embeddings are unit vectors: 0 same, 2 unrelated, 4 opposite)."""
    negative_weight: float = 1.0
    """Weight of the negatives against the positives."""
    same_video: float = 1.0
    """Share of that weight that goes to distant frames of the same video; the rest goes to other videos."""
    head: Literal["mlp", "linear", "none"] = "mlp"
    """The throw-away projector that each layer's objective looks through."""
    head_width: int = 256
    """Hidden units of the mlp head."""
    head_out: int = 128
    """Outputs of the head."""
    grid: tuple[int, ...] = (1, 1, 2, 2)
    """Side of the grid a layer's map is pooled to before the head: one for all layers, or one for each."""


@dataclass(frozen=True)
class OptimConfig:
    """AdamW for every layer and its head."""

    lr: float = 2e-3
    """Peak learning rate."""
    weight_decay: float = 1e-4
    """Decoupled weight decay."""
    warmup: float = 0.05
    """Share of the steps in which the rate rises from 0; then it falls as a cosine."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything `seqff train` can be told, seeds and devices aside."""

    steps: int = 600
    """Batches to train on."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""
    log_every: int = 10
    """Steps between lines of metrics.jsonl."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """What convolutions are computed in; auto takes bf16 where the hardware multiplies it. Losses stay fp32."""
    workers: int = 0
    """Processes that decode video (0 = in the training process); the numbers do not depend on it."""
    pairs: PairsConfig = field(default_factory=PairsConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
