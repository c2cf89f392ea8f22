"""The layers that learn in this process, and how batches come to them and go on to the next stage."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from seqff.config import PairsConfig, TrainConfig
from seqff.pairs import Relation
from seqff.training.learner import LayerLearner
from seqff.training.parallel.balance import Costs, measure, split
from seqff.training.parallel.pipe import Inbox, Outbox, message_bytes
from seqff.training.parallel.ranks import Decision, Ranks
from seqff.training.trainers import Examples, LocalTrainer, Source, Trainer

STOP, COLLAPSED = "stop", "collapsed"


class StageTrainer(LocalTrainer):
    """The local trainer for some consecutive layers; keeps what the last of them gave.

    Attributes:
        out: (N, C, H, W), for the next stage.
    """

    out: Tensor

    def step(self, step: int, h: Tensor, relation: Relation) -> list[LayerLearner]:
        """See `Trainer`."""
        self.out = self.climb(step, h, relation)
        return self.learners


class Stage:
    """Some consecutive layers; all of them in a process that shares them with nobody.

    Args:
        learners: all layers of the net.
        trainer: takes the steps where all layers learn here.
        measured: gives batches to measure the layers with, how many of them make a round, and whether mixtures double
            their rows.
        config: sizes of batches.
        ranks: this process among the others.

    Attributes:
        own: the layers that learn here.
        trainer: takes their steps.
    """

    def __init__(
        self,
        learners: list[LayerLearner],
        trainer: Trainer,
        measured: tuple[Callable[[], Examples], int, bool],
        config: TrainConfig,
        ranks: Ranks,
    ) -> None:
        self.ranks, self.own, self.trainer = ranks, learners, trainer
        self.inbox: Inbox | None = None
        self.outbox: Outbox | None = None
        self._asked = False
        if ranks.stages == 1:
            return
        batches, round_batches, mixtures = measured
        if ranks.leads:
            examples = batches()
            ranks.put("costs", measure(learners, examples, round_batches).to_dict())
            examples.close()
        costs = Costs(**ranks.get("costs"))
        cuts = split(costs.layers, ranks.stages, before=costs.read)
        first, last = cuts[ranks.stage : ranks.stage + 2]
        self.own = learners[first:last]
        self.trainer = StageTrainer(self.own, steps=config.steps, optim=config.optim)
        device, rows = self.own[0].parameters[0].device, most_rows(config.pairs) * (1 + mixtures)
        everyone = rows * ranks.replicas if config.gather_negatives and ranks.replicas > 1 else 0

        def size(layer: int) -> int:
            return message_bytes(rows, costs.row_bytes[layer], everyone)

        if first:
            self.inbox = Inbox(ranks, size(first - 1), device)
        if last < len(learners):
            self.outbox = Outbox(ranks, size(last - 1), device)

    def examples(self, source: Source, step: int, count: int) -> Examples:
        """Yield `count` batches from a step on: frames, or what the stage before made of them."""
        if self.inbox is not None:
            return self.inbox.examples(count)
        return self.trainer.examples(source, step)

    def decide(self, mine: Decision, why: str) -> Decision:
        """Say what all do after the step just taken.

        The first stages of all replicas agree on it, and it goes forward with the activations. What later stages want
        comes to the first rank in words, and is done a few steps later.

        Args:
            mine: what this process wants.
            why: which layers have collapsed.
        """
        if self.inbox is not None:
            if mine.stop and not self._asked:
                self.ranks.put(STOP, True)
            if mine.collapsed and not self._asked:
                self.ranks.put(COLLAPSED, why)
            self._asked = self._asked or mine.stop or mine.collapsed
            return self.inbox.decision
        if self.ranks.leads and self.ranks.stages > 1:
            stop, collapsed = mine.stop or self.ranks.has(STOP), mine.collapsed or self.ranks.has(COLLAPSED)
            mine = Decision(mine.save or stop or collapsed, stop, collapsed)
        return self.ranks.agree(mine)

    def hand_on(self, relation: Relation, decision: Decision) -> None:
        """Send the activations of the step just taken to the next stage, if there is one."""
        if self.outbox is not None and isinstance(self.trainer, StageTrainer):
            self.outbox.send(self.trainer.out, relation, decision)

    def close(self) -> None:
        """Wait until the next stage has everything."""
        if self.outbox is not None:
            self.outbox.close()


def most_rows(pairs: PairsConfig) -> int:
    """Return the most rows that a batch can have."""
    return pairs.videos_per_batch * pairs.stretches * len(range(0, pairs.stretch_frames, pairs.every))
