"""Sentences about layers that go wrong: collapsed, dying, with a tolerance that nothing violates or nothing keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seqff.training.monitors import UNTRAINED

Figures = Mapping[str, float]

SPREAD_LEFT = 0.2
"""A layer has collapsed when its frames are this share as far apart as through the layer untrained: the geometric mean
of the shares for different videos and for distant frames of a video, so that giving one for the other is no collapse.
Bare attraction left at most 0.17 after 50 steps, the objectives that work at least 0.31 (Weizmann and digits)."""
LEAST = 1e-6
"""Distances below are rounding, or come from an input that has collapsed already."""
DEAD_GAINED = 0.1
"""Share of the channels that may die before it is said."""
NEVER = 0.01
"""A tolerance that a smaller share of the positives keeps is not kept."""
LOOKS = 3
"""Looks in a row, after the warm-up, at which it is not kept before it is said."""


@dataclass(frozen=True)
class Alarm:
    """One sentence about one layer.

    Args:
        layer: its name.
        kind: "one_point" and "dead_units" (the layer collapses), "dead_tolerance" or "never_within".
        text: the sentence.
    """

    layer: str
    kind: str
    text: str

    @property
    def collapse(self) -> bool:
        """Whether going on would be a waste."""
        return self.kind in ("one_point", "dead_units")


@dataclass
class Alarms:
    """Listens to the lines of metrics.jsonl; what is wrong with a layer is said once.

    All it knows comes from these lines: a resumed run gives it the lines that are there, and it goes on as if nothing
    had happened.

    Args:
        warmup: steps in which positives are not expected to be within the tolerance.
    """

    warmup: int
    _told: set[tuple[str, str]] = field(default_factory=set)
    _unkept: dict[str, int] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def seen(self, layer: str) -> bool:
        """Say whether the layer has been looked at."""
        return layer in self._seen

    def hear(self, line: Mapping[str, Any]) -> list[Alarm]:
        """Take in a line and return what is new.

        Args:
            line: `step`, and `layer/name` -> figure; layers that were not looked at are passed over.
        """
        found: list[Alarm] = []
        layers = [name.split("/")[0] for name in line if name.endswith("/effective_rank")]
        for layer in layers:
            figures = {name.partition("/")[2]: value for name, value in line.items() if name.startswith(f"{layer}/")}
            found += [Alarm(layer, kind, f"{layer} {text}") for kind, text in self._judge(layer, line["step"], figures)]
            self._seen.add(layer)
        new = [alarm for alarm in found if (alarm.layer, alarm.kind) not in self._told]
        self._told |= {(alarm.layer, alarm.kind) for alarm in new}
        return new

    def _judge(self, layer: str, step: int, figures: Figures) -> list[tuple[str, str]]:
        found = [("one_point", one_point(figures)), ("dead_units", dying(figures))]
        if "within_tolerance" in figures:
            if not self.seen(layer):
                found.append(("dead_tolerance", dead_tolerance(figures)))
            if step > self.warmup:
                kept = figures["within_tolerance"] >= NEVER or figures["tolerance"] == 0  # 0 asks for just that
                self._unkept[layer] = 0 if kept else self._unkept.get(layer, 0) + 1
                if self._unkept[layer] >= LOOKS:
                    found.append(("never_within", never_within(figures)))
        return [(kind, text) for kind, text in found if text]


def one_point(figures: Figures) -> str:
    """Say that all embeddings have come together, or nothing."""
    now, before = figures["spread_other_video"], figures[UNTRAINED + "spread_other_video"]
    spreads = [(now, before), (figures["spread_same_video"], figures[UNTRAINED + "spread_same_video"])]
    left = [after / untrained for after, untrained in spreads if untrained > LEAST]
    if not left or math.prod(left) >= SPREAD_LEFT ** len(left):
        return ""
    return (
        f"maps everything to one point: frames of different videos are {now:.2g} apart, through the untrained layer "
        f"{before:.2g} (squared distance of embeddings as unit vectors, at most 4). What only draws together "
        "collapses: give negatives weight (objective.negative_weight) or choose another objective"
    )


def dying(figures: Figures) -> str:
    """Say that many channels have died, or nothing."""
    now, before = figures["dead_units"], figures[UNTRAINED + "dead_units"]
    if now - before < DEAD_GAINED:
        return ""
    return (
        f"is dying: {now:.0%} of its channels are dead (0 at every place of every frame), of the untrained layer "
        f"{before:.0%}. Normalise between layers (encoder.norm) or lower optim.lr"
    )


def dead_tolerance(figures: Figures) -> str:
    """Say that a layer has nothing to learn from, or nothing; of its first loss."""
    if figures["loss"] != 0 or figures["within_tolerance"] < 1:
        return ""
    return (
        f"is dead at step 0: all positives (median d {figures['positive_median']:.2g}, largest "
        f"{figures['positive_largest']:.2g}) are within the tolerance {figures['tolerance']:.3g}, no negative is "
        "within the margin, or negatives have no weight, and nothing will move it. Lower the tolerance, measure it "
        "(objective.tolerance=calibrated), or give negatives weight (objective.negative_weight)"
    )


def never_within(figures: Figures) -> str:
    """Say that the positives stay beyond the tolerance."""
    return (
        f"never keeps its tolerance: {figures['within_tolerance']:.0%} of its positives (median d "
        f"{figures['positive_median']:.2g}) are within {figures['tolerance']:.3g}, at {LOOKS} looks in a row. Raise "
        "it, or measure it (objective.tolerance=calibrated)"
    )
