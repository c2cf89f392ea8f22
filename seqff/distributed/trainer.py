"""The trainer of one of several processes: what one of them wants, all do after the same step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqff.distributed.callbacks import GatheredMetrics
from seqff.distributed.process_group import quiet_unless_main
from seqff.distributed.ranks import Ranks, StepOutcome
from seqff.distributed.stages import StageStrategy
from seqff.relation import Relation
from seqff.training.batches import Example
from seqff.training.trainer import StepReport, Trainer


class DistributedTrainer(Trainer):
    """Takes the steps of one process of several.

    Args:
        arguments: see `Trainer`.
        ranks: this process among the others.
        gathered: the metrics of all stages, in the first rank.
        options: see `Trainer`.
    """

    def __init__(self, *arguments: Any, ranks: Ranks, gathered: GatheredMetrics | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ranks, self.gathered, self._collapsed = ranks, gathered, list[str]()

    def synchronize(self, report: StepReport, relation: Relation) -> None:
        """See `Trainer`; what goes to the next stage goes now, with what is to follow there."""
        wanted = StepOutcome(report.save, report.stop, bool(report.collapsed))
        self._collapsed += [report.collapsed] if report.collapsed else []
        if isinstance(self.strategy, StageStrategy):
            outcome = self.strategy.agree(wanted, report.collapsed)
            self.strategy.send(relation, outcome)
        else:
            outcome = self.ranks.agree(wanted)
        report.save, report.stop = outcome.save, outcome.stop
        report.collapsed = report.collapsed or "a layer of another process has collapsed" if outcome.collapsed else ""

    def fit(self, batches: Iterable[Example]) -> None:
        """See `Trainer`; when this returns, all processes have taken all steps, and the encoder is on disk."""
        super().fit(batches)
        if isinstance(self.strategy, StageStrategy):
            self.strategy.close()
        self.ranks.meet(self.ranks.everyone)
        self.metrics = {} if self.gathered is None else self.gathered.metrics

    def end_early(self, report: StepReport) -> None:
        """See `Trainer`; whoever ends first takes the others along, so all wait until the checkpoint is there."""
        if report.collapsed or (report.stop and not report.last):
            self.ranks.meet(self.ranks.everyone)
        if report.collapsed:
            found = self._collapsed if self.gathered is None else self.gathered.collapsed
            report.collapsed = "; ".join(found) or report.collapsed
        with quiet_unless_main(self.ranks):
            super().end_early(report)
