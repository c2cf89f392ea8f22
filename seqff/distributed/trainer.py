"""The trainer and callbacks of one of several processes, which agree on the action after each step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqff.config import TrainConfig
from seqff.distributed.ranks import Ranks, StepOutcome, quiet_unless_main
from seqff.distributed.stages import StageStrategy
from seqff.nets import Encoder
from seqff.relation import Relation
from seqff.training.batches import Example
from seqff.training.callbacks.checkpoints import Checkpointer
from seqff.training.callbacks.metrics import MetricsWriter
from seqff.training.checkpoint import Progress, clean_up, complete, load_checkpoint, write_part
from seqff.training.learner import LayerLearner
from seqff.training.trainer import Callback, StepReport, Trainer


class GatheredMetrics(MetricsWriter):
    """Merges the metrics of all stages into lines; used on the first stage.

    Attributes:
        collapsed: messages about collapsed layers for which the training stops.
    """

    def __init__(self, run: Path, ranks: Ranks, **options: Any) -> None:
        super().__init__(run, **options)
        self.ranks, self.collapsed = ranks, list[str]()
        self._open: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def on_metrics(self, report: StepReport) -> None:
        self._open.append((self.line(report), said_in(report)))
        self.flush(wait=False)

    def flush(self, *, wait: bool = True) -> None:
        """Write the lines for which all stages have sent metrics; with `wait`, wait for the missing ones."""
        while self._open:
            line, mine = self._open[0]
            keys = [f"line {line['step']} {stage}" for stage in range(1, self.ranks.stages)]
            if keys and not wait and not self.ranks.has(*keys):
                return
            said = [mine, *(self.ranks.take(key) for key in keys)]
            self.collapsed += [part["collapsed"] for part in said if part["collapsed"]]
            metrics = {name: value for part in said for name, value in part["metrics"].items()}
            self.write(line, metrics, [text for part in said for text in part["alarms"]])
            del self._open[0]


class SentMetrics(Callback):
    """Sends the metrics of a later stage to the first stage."""

    def __init__(self, ranks: Ranks, *, every: int) -> None:
        self.ranks, self.every = ranks, every

    def after_step(self, report: StepReport) -> None:
        report.log = report.log or report.step % self.every == 0 or report.last

    def on_metrics(self, report: StepReport) -> None:
        self.ranks.put(f"line {report.step} {self.ranks.stage}", said_in(report))


def said_in(report: StepReport) -> dict[str, Any]:
    """Return the metrics and alarms of a stage's step as plain data."""
    return {"metrics": dict(report.metrics), "alarms": report.alarms, "collapsed": report.collapsed}


class StageCheckpointer(Checkpointer):
    """Writes checkpoints of layers that are distributed over stages.

    Each stage of the first replica writes the files of its layers into the same folder; rank 0 completes the checkpoint
    when all files exist.

    Attributes:
        metrics: flushed before a checkpoint is completed; None if another process writes the metrics.
    """

    def __init__(
        self,
        run: Path,
        encoder: Encoder,
        learners: list[LayerLearner],
        config: TrainConfig,
        *,
        own: list[LayerLearner],
        ranks: Ranks,
    ) -> None:
        super().__init__(run, encoder, learners, config, replicas=ranks.replicas)
        self.own, self.others = own, [learner for learner in learners if learner not in own]
        self.ranks = ranks
        self.metrics: GatheredMetrics | None = None

    def resume(self) -> Progress:
        """See `Checkpointer`: rank 0 finds the checkpoint, and each stage loads its layers."""
        if self.ranks.is_main:
            clean_up(self.run)
            found = self.find()
            self.ranks.put("resume", None if found is None else found.name)
        else:
            name = self.ranks.get("resume")
            found = None if name is None else self.run / "checkpoints" / name
        if found is None:
            return Progress(replicas=self.replicas)
        progress = load_checkpoint(found, self.own)
        if self.ranks.is_main:
            load_checkpoint(found, self.others, optimizer=False)
            self.save_encoder()
        return progress

    def after_step(self, report: StepReport) -> None:
        """See `Checkpointer`: rank 0 decides."""
        if self.ranks.is_main:
            super().after_step(report)

    def write(self, step: int) -> None:
        """Write this process's part; rank 0 completes the checkpoint when all parts exist."""
        if self.ranks.replica:
            return
        files = write_part(self.run, step, self.own)
        if not self.ranks.is_main:
            self.ranks.put(f"part {step} {self.ranks.stage}", files)
        self.ranks.meet(self.ranks.chain)
        if not self.ranks.is_main:
            return
        if self.metrics is not None:
            self.metrics.flush()
        for stage in range(1, self.ranks.stages):
            files |= self.ranks.take(f"part {step} {stage}")
        folder = complete(self.run, self.progress(step), files)
        if self.others:
            load_checkpoint(folder, self.others, optimizer=False)
        self.save_encoder()


class DistributedTrainer(Trainer):
    """The trainer of one of several processes."""

    def __init__(self, *arguments: Any, ranks: Ranks, gathered: GatheredMetrics | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ranks, self.gathered, self._collapsed = ranks, gathered, list[str]()

    def agree(self, report: StepReport, relation: Relation) -> None:
        """See `Trainer`; also sends the activations and the outcome to the next stage."""
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
        """See `Trainer`; on return, all processes have taken all steps and the encoder is saved."""
        super().fit(batches)
        if isinstance(self.strategy, StageStrategy):
            self.strategy.close()
        self.ranks.meet(self.ranks.all_ranks)
        self.metrics = {} if self.gathered is None else self.gathered.metrics

    def end_early(self, report: StepReport) -> None:
        """See `Trainer`; the exit of one process ends the others, so all wait until the checkpoint is complete."""
        if report.collapsed or (report.stop and not report.last):
            self.ranks.meet(self.ranks.all_ranks)
        if report.collapsed:
            found = self._collapsed if self.gathered is None else self.gathered.collapsed
            report.collapsed = "; ".join(found) or report.collapsed
        with quiet_unless_main(self.ranks):
            super().end_early(report)
