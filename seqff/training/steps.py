"""One step after another: each is taken, noted down, and followed by a checkpoint where one is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from seqff.config import TrainConfig
from seqff.errors import SeqffError
from seqff.pairs import Relation
from seqff.training.alarms import Alarm
from seqff.training.check import due as check_due
from seqff.training.checkpoint import Place
from seqff.training.journal import Journal
from seqff.training.parallel.ranks import Decision, Ranks
from seqff.training.parallel.stages import Stage
from seqff.training.saving import Saver
from seqff.training.watch import Watch


class Steps:
    """Takes the steps of a training, wherever its batches come from.

    Args:
        stage: the layers that learn here, and what takes their steps.
        watch: monitors and alarms.
        saver: writes checkpoints.
        journal: writes the figures down.
        config: settings of the training.
        ranks: this process among those that train together.
        bar: shows how far it is.
        step: steps already taken.
        ahead: batches taken beyond the steps (see `Place.position`).
        check: measures every layer without labels, name of the layer -> figures; None for no check.

    Attributes:
        step: steps taken so far.
    """

    def __init__(
        self,
        stage: Stage,
        watch: Watch,
        saver: Saver,
        journal: Journal,
        config: TrainConfig,
        ranks: Ranks,
        bar: tqdm[Any],
        *,
        step: int,
        ahead: int = 0,
        check: Callable[[], dict[str, dict[str, float]]] | None = None,
    ) -> None:
        self.stage, self.watch, self.saver, self.journal = stage, watch, saver, journal
        self.config, self.ranks, self.bar, self.step, self.ahead = config, ranks, bar, step, ahead
        self.check = check

    def take(
        self, h: Tensor, relation: Relation, stopping: Callable[[], bool], facts: Mapping[str, float] | None = None
    ) -> Decision:
        """Take a step.

        Args:
            h: (N, C, H, W), what the layers learn from.
            relation: of its rows.
            stopping: says whether to end after it.
            facts: what else the line of the step says, by name.

        Returns:
            What all processes do now; what is to be saved has been.

        Raises:
            RunError: a loss is not a finite number, or a checkpoint cannot be written.
        """
        rate = self.stage.trainer.rate(self.step)
        self.watch.before(self.step)
        trained = self.stage.trainer.step(self.step, h, relation)
        self.step += 1
        self.bar.update()
        self.journal.count(len(h))
        alarms: list[Alarm] = []
        last = self.step == self.config.steps
        checked = self.check is not None and check_due(self.step, self.config.steps)
        if self.check is not None and checked:
            found = self.check()
            for learner in trained:
                learner.figures |= {name: torch.tensor(value) for name, value in found[learner.name].items()}
        logged = self.step % self.config.log_every == 0 or last or checked or self.watch.looked(trained)
        if logged and self.ranks.replica == 0:
            line = {"step": self.step, "lr": rate, "frames": len(h), **(facts or {})}
            alarms = self.journal.note(line, trained, self.bar)
        stop, collapsed = stopping(), self.watch.must_stop(alarms)
        due = stop or bool(collapsed) or (self.ranks.leads and self.saver.due(self.step))
        decision = self.stage.decide(Decision(due, stop, bool(collapsed)), collapsed)
        self.stage.hand_on(relation, decision)
        if decision.save:
            self.save()
        return decision

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        self.saver.save(Place(self.step, self.step + self.ahead, self.ranks.replicas), self.journal)

    def collapsed(self) -> SeqffError:
        """Return what to raise when a decision says that a layer has collapsed."""
        which = "; ".join(self.journal.collapsed) or "a layer of another process has collapsed"
        return SeqffError(
            f"stopped after step {self.step}, with a checkpoint (on_collapse=stop): {which}. "
            "The same command with --resume goes on nevertheless"
        )
