"""Monitors and alarms during a training: when to look at the layers, and what to say."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from seqff.config import TrainConfig
from seqff.training.alarms import MAY_DIE, MAY_DIE_BARE, Alarm, Alarms
from seqff.training.learner import ENDLESS_WARMUP, LayerLearner
from seqff.training.monitors import LayerMonitor

log = logging.getLogger(__name__)


class Watch:
    """Looks at the layers every `monitor_every` steps or `monitor_minutes`, at the first step of each and at the last.

    Args:
        learners: the layers before the first step; they are given their monitors.
        config: `monitor_every`, `monitor_minutes`, `on_collapse`, and how long the warm-up is.
        looks: whether this process looks at all; of several replicas of a net one is enough.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(self, learners: list[LayerLearner], config: TrainConfig, *, looks: bool = True) -> None:
        if config.monitor_every < 0 or config.monitor_minutes < 0:
            raise ValueError(
                "monitor_every must be at least 1, or 0 for never, and monitor_minutes at least 0, got "
                f"{config.monitor_every} and {config.monitor_minutes}"
            )
        if config.on_collapse not in ("warn", "stop"):
            raise ValueError(f"on_collapse is {config.on_collapse!r}: choose from warn, stop")
        self.learners, self.every, self.last = learners, config.monitor_every, config.steps - 1
        self.minutes, self._looked = config.monitor_minutes, time.monotonic()
        self.stops = config.on_collapse == "stop"
        self.alarms = Alarms(
            warmup=round(config.optim.warmup * config.steps) if config.steps else ENDLESS_WARMUP,
            may_die=MAY_DIE_BARE if config.encoder.norm == "none" else MAY_DIE,
        )
        if self.every and looks:
            for learner in learners:
                learner.monitor = LayerMonitor(learner.layer, learner.head)

    def recall(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take in the lines of an interrupted run: what they led to has been said."""
        for line in lines:
            self.alarms.hear(line)

    def before(self, step: int) -> None:
        """Say which layers the coming step (from 0) looks at."""
        late = bool(self.minutes) and time.monotonic() - self._looked >= 60 * self.minutes
        if late:
            self._looked = time.monotonic()
        for learner in self.learners:
            if learner.monitor is not None:
                usual = (step + 1) % self.every == 0 or step == self.last or late
                learner.monitor.due = usual or not self.alarms.seen(learner.name)

    @staticmethod
    def looked(trained: Iterable[LayerLearner]) -> bool:
        """Say whether the step just taken looked at one of the layers that had a loss in it."""
        return any(learner.monitor is not None and learner.monitor.due for learner in trained)

    def hear(self, line: dict[str, Any]) -> list[Alarm]:
        """Warn of what is new in the line of a step, and return it."""
        new = self.alarms.hear(line)
        for alarm in new:
            log.warning("step %d: %s", line["step"], alarm.text)
        return new

    def must_stop(self, alarms: list[Alarm]) -> str:
        """Say which layers have collapsed, if the settings ask to stop for that after a checkpoint; else nothing."""
        return "; ".join(alarm.text for alarm in alarms if alarm.collapse) if self.stops else ""
