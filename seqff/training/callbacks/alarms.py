"""Monitors and alarms: when to inspect the layers, and messages about failing ones."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seqff.config import TrainConfig
from seqff.training.learner import ENDLESS_WARMUP, LayerLearner
from seqff.training.monitors import UNTRAINED, LayerMonitor
from seqff.training.trainer import Callback, StepReport

log = logging.getLogger(__name__)


Metrics = Mapping[str, float]

LEFT = 0.2
"""A layer has collapsed if less than this share of its distances remains. It is the geometric mean over frames of
different videos and distant frames of a video, so that a trade-off between the two is not a collapse."""
CONTENT = 0.25
"""If the loss falls below this share of its first value, the objective itself rewards collapse. Objectives that prevent
collapse also pass through small distances early on, but with a loss as high as before."""
STUCK = 100
"""Steps without distances after which a layer has collapsed, whatever its loss."""
LEAST = 1e-6
"""Smaller distances are rounding errors, or come from an input that has already collapsed."""
MAY_DIE, MAY_DIE_BARE = 0.5, 0.05
"""Share of the channels that may die, with and without a norm between layers. With one, usually none die, though
goodness loses a third without harm. Without one, a tenth to a quarter of layer 4 dies within 50 steps, and the features
suffer (InfoNCE on Weizmann, 300 steps, one seed: layer 4 probes 0.53, with the layer norm 0.62)."""
WORSE = 2.0
"""A layer is below its untrained self if it misses the video of a distant frame this many times as often."""
FEW = 0.02
"""Added to both shares of misses, so that a few misses instead of none do not raise an alarm."""
NEVER = 0.01
"""A tolerance counts as unmet if a smaller share of the positives is within it."""
LOOKS = 3
"""Consecutive checks after the warm-up with an unmet tolerance before the alarm."""


@dataclass(frozen=True)
class Alarm:
    """A message about one layer.

    Args:
        layer: name of the layer.
        kind: "one_point" and "dead_units" (the layer collapses), "below_untrained", "dead_tolerance" or "never_within".
        text: the message.
    """

    layer: str
    kind: str
    text: str

    @property
    def collapse(self) -> bool:
        """Whether further training would be wasted."""
        return self.kind in ("one_point", "dead_units")


@dataclass
class _Past:
    """History of a layer: its first metrics, the step it got stuck at, consecutive checks with an unmet tolerance."""

    first: Metrics
    stuck: int | None = None
    unkept: int = 0


@dataclass
class Alarms:
    """Derives alarms from the lines of metrics.jsonl; each is raised once per layer.

    Its state depends on these lines only: a resumed run replays the existing lines.

    Args:
        warmup: steps during which positives need not be within the tolerance.
        may_die: share of the channels that may die.
    """

    warmup: int
    may_die: float = MAY_DIE
    _told: set[tuple[str, str]] = field(default_factory=set)
    _past: dict[str, _Past] = field(default_factory=dict)

    def seen(self, layer: str) -> bool:
        """Return whether the layer has been inspected."""
        return layer in self._past

    def hear(self, line: Mapping[str, Any]) -> list[Alarm]:
        """Process a line and return new alarms.

        Args:
            line: `step`, and `layer/name` -> metric; layers that were not inspected are skipped.
        """
        new: list[Alarm] = []
        names = [name.split("/")[0] for name in line if name.endswith(("/effective_rank", "/retrieval"))]
        for layer in dict.fromkeys(names):
            metrics = {name.partition("/")[2]: value for name, value in line.items() if name.startswith(f"{layer}/")}
            for kind, text in self._judge(layer, line["step"], metrics).items():
                if text and (layer, kind) not in self._told:
                    self._told.add((layer, kind))
                    new.append(Alarm(layer, kind, f"{layer} {text}"))
        return new

    def _judge(self, layer: str, step: int, metrics: Metrics) -> dict[str, str]:
        """Return a message for every kind of alarm, empty if there is none."""
        forgotten = {"below_untrained": below_untrained(metrics)}
        if "effective_rank" not in metrics:
            return forgotten
        found = forgotten if self.seen(layer) else {**forgotten, "dead_tolerance": dead_tolerance(metrics)}
        past = self._past.setdefault(layer, _Past(metrics))
        if spread_left(metrics) >= LEFT:
            past.stuck = None
        elif past.stuck is None:
            past.stuck = step
        stuck = past.stuck is not None and step - past.stuck >= STUCK
        found["one_point"] = one_point(metrics, past.first, stuck=stuck)
        found["dead_units"] = dying(metrics, self.may_die)
        if step > self.warmup and "within_tolerance" in metrics:
            kept = metrics["within_tolerance"] >= NEVER or metrics["tolerance"] == 0  # 0 demands just that
            past.unkept = 0 if kept else past.unkept + 1
            found["never_within"] = never_within(metrics) if past.unkept >= LOOKS else ""
        return found


def _left(pairs: list[tuple[float, float]]) -> float:
    """Return the geometric mean of the ratios now / before of some distances; 1 if they were 0 before."""
    shares = [now / before for now, before in pairs if before > LEAST]
    return math.prod(shares) ** (1 / len(shares)) if shares else 1.0


def spread_left(metrics: Metrics) -> float:
    """Return the layer's spread as a share of the untrained layer's."""
    names = ("spread_other_video", "spread_same_video")
    return _left([(metrics[name], metrics[UNTRAINED + name]) for name in names])


def one_point(metrics: Metrics, first: Metrics, *, stuck: bool) -> str:
    """Return the alarm for collapsed embeddings, or an empty string."""
    now, before = metrics["spread_other_video"], metrics[UNTRAINED + "spread_other_video"]
    what = "frames of different videos"
    if before <= LEAST:  # all rows of one video, as in a stream
        now, before = metrics["spread_same_video"], metrics[UNTRAINED + "spread_same_video"]
        what = "distant frames"
    beside, scale, left = "through the untrained layer", "as unit vectors, at most 4", spread_left(metrics)
    if left >= LEFT and "other_video_distance" in metrics:  # embeddings that are not normalized can shrink as a whole
        names = ("other_video_distance", "same_video_distance")
        left = _left([(metrics[name], first[name]) for name in names])
        now, before = metrics["other_video_distance"], first["other_video_distance"]
        beside, scale = "at the first step", "as the loss takes them"
    if left >= LEFT or not (stuck or 0 <= metrics["loss"] <= CONTENT * first["loss"]):
        return ""
    return (
        f"maps everything to one point: {what} are {now:.2g} apart, {beside} {before:.2g} (squared "
        f"distance of embeddings {scale}). What only draws together collapses: give negatives weight "
        "(objective.negative_weight), lower optim.lr, or choose another objective"
    )


def below_untrained(metrics: Metrics) -> str:
    """Return the alarm for a layer that distinguishes less than untrained, or an empty string."""
    if "retrieval" not in metrics:
        return ""
    now, before = metrics["retrieval"], metrics[UNTRAINED + "retrieval"]
    if 1 - now + FEW < WORSE * (1 - before + FEW):
        return ""
    return (
        f"has fallen below its untrained self: the frame most like a given one is of the same video in {now:.0%} of "
        f"the cases, before training in {before:.0%} (frames held aside, neighbors in time left out). What tells "
        "videos apart is being unlearned: use the untrained layer, or give terms that tell videos apart more weight "
        "(objective.video_channels, objective.terms), or change less about colors (pairs.color_jitter)"
    )


def dying(metrics: Metrics, may_die: float) -> str:
    """Return the alarm for too many dead channels, or an empty string."""
    now, before = metrics["dead_units"], metrics[UNTRAINED + "dead_units"]
    if now - before <= may_die:
        return ""
    return (
        f"is dying: {now:.0%} of its channels are dead (0 at every place of every frame), of the untrained layer "
        f"{before:.0%}. Normalize between layers (encoder.norm=layer) or lower optim.lr"
    )


def dead_tolerance(metrics: Metrics) -> str:
    """Return the alarm for a layer without a gradient, from its first loss, or an empty string."""
    if metrics["loss"] != 0 or metrics.get("within_tolerance", 0) < 1:
        return ""
    return (
        f"is dead at step 0: all positives (median d {metrics['positive_median']:.2g}, largest "
        f"{metrics['positive_largest']:.2g}) are within the tolerance {metrics['tolerance']:.3g}, no negative is "
        "within the margin, or negatives have no weight, and nothing will move it. Lower the tolerance, measure it "
        "(objective.tolerance=calibrated), or give negatives weight (objective.negative_weight)"
    )


def never_within(metrics: Metrics) -> str:
    """Return the alarm for positives that stay beyond the tolerance."""
    return (
        f"never keeps its tolerance: {metrics['within_tolerance']:.0%} of its positives (median d "
        f"{metrics['positive_median']:.2g}) are within {metrics['tolerance']:.3g}, at {LOOKS} looks in a row. Raise "
        "it, or measure it (objective.tolerance=calibrated)"
    )


class CollapseMonitor(Callback):
    """Inspects the layers every `monitor_every` steps, and at each layer's first and last step.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(self, learners: list[LayerLearner], config: TrainConfig) -> None:
        check_monitors(config)
        self.learners, self.every, self.last = learners, config.monitor_every, config.steps - 1
        self.stops = config.on_collapse == "stop"
        self.alarms = Alarms(
            warmup=round(config.optim.warmup * config.steps) if config.steps else ENDLESS_WARMUP,
            may_die=MAY_DIE_BARE if config.encoder.norm == "none" else MAY_DIE,
        )
        for learner in learners if self.every else ():
            learner.monitor = LayerMonitor(learner.layer, learner.head)

    def recall(self, lines: Iterable[dict[str, Any]]) -> None:
        """Replay the lines of an interrupted run without repeating its alarms."""
        for line in lines:
            self.alarms.hear(line)

    def before_step(self, step: int) -> None:
        """Select the layers that the next step inspects."""
        for learner in self.learners:
            if learner.monitor is not None:
                usual = (step + 1) % self.every == 0 or step == self.last
                learner.monitor.due = usual or not self.alarms.seen(learner.name)

    def after_step(self, report: StepReport) -> None:
        """Request the metrics if the step has inspected a layer that it trained."""
        looked = any(learner.monitor is not None and learner.monitor.due for learner in report.trained)
        report.log = report.log or looked

    def on_metrics(self, report: StepReport) -> None:
        """Log new alarms, and request the end if a layer has collapsed and `on_collapse` is "stop"."""
        new = self.alarms.hear({"step": report.step, **report.metrics})
        for alarm in new:
            log.warning("step %d: %s", report.step, alarm.text)
        report.alarms += [alarm.text for alarm in new]
        if self.stops:
            report.collapsed = "; ".join(alarm.text for alarm in new if alarm.collapse)


def check_monitors(config: TrainConfig) -> None:
    """Raise ValueError unless the settings of monitors and alarms are in range."""
    if config.monitor_every < 0:
        raise ValueError(f"monitor_every must be at least 1, or 0 for never, got {config.monitor_every}")
    if config.on_collapse not in ("warn", "stop"):
        raise ValueError(f"on_collapse is {config.on_collapse!r}: choose from warn, stop")
