"""Layer parallel: some consecutive layers learn here; batches come from the stage before and go on to the next."""

from __future__ import annotations

from torch import Tensor

from seqff.config import PairsConfig
from seqff.distributed.balance import Costs, measure, split
from seqff.distributed.p2p import Inbox, Outbox, message_bytes
from seqff.distributed.ranks import Ranks, StepOutcome
from seqff.relation import Relation
from seqff.training.batches import Examples, Source
from seqff.training.setup import Setup
from seqff.training.strategies import LocalStrategy

STOP, COLLAPSED = "stop", "collapsed"


class StageStrategy(LocalStrategy):
    """The local strategy for some consecutive layers.

    Args:
        setup: of all layers of the net. The first rank times them, and all divide them accordingly.
        ranks: this process among the others.

    Attributes:
        learners: the layers that learn here.
    """

    def __init__(self, setup: Setup, ranks: Ranks) -> None:
        config, learners = setup.config, setup.learners
        if ranks.is_main:
            examples = setup.source()(0)
            ranks.put("costs", measure(learners, examples, setup.stream.plan.batches_per_round).to_dict())
            examples.close()
        costs = Costs(**ranks.get("costs"))
        cuts = split(costs.layers, ranks.stages, before=costs.read)
        first, last = cuts[ranks.stage : ranks.stage + 2]
        super().__init__(learners[first:last], steps=config.steps, optim=config.optim)
        rows = most_rows(config.pairs) * (1 + setup.mixtures)
        everyone = rows * ranks.replicas if config.gather_negatives and ranks.replicas > 1 else 0

        def size(layer: int) -> int:
            return message_bytes(rows, costs.row_bytes[layer], everyone)

        self.ranks, self._asked, self._out = ranks, False, Tensor()
        self.inbox = Inbox(ranks, size(first - 1), setup.device) if first else None
        self.outbox = Outbox(ranks, size(last - 1), setup.device) if last < len(learners) else None

    def examples(self, source: Source, step: int) -> Examples:
        """Yield the batches from a step on: frames, or what the stage before made of them."""
        return source(step) if self.inbox is None else self.inbox.examples(self.steps - step)

    def hand_on(self, h: Tensor) -> None:
        """Keep the output for the next stage, which is to know as well what follows the step."""
        self._out = h

    def send(self, relation: Relation, outcome: StepOutcome) -> None:
        """Send the activations of the step just taken to the next stage, if there is one."""
        if self.outbox is not None:
            self.outbox.send(self._out, relation, outcome)

    def agree(self, mine: StepOutcome, why: str) -> StepOutcome:
        """Return what all do after the step just taken.

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
            return self.inbox.outcome
        if self.ranks.is_main:
            stop, collapsed = mine.stop or self.ranks.has(STOP), mine.collapsed or self.ranks.has(COLLAPSED)
            mine = StepOutcome(mine.save or stop or collapsed, stop, collapsed)
        return self.ranks.agree(mine)

    def close(self) -> None:
        """Wait until the next stage has everything."""
        if self.outbox is not None:
            self.outbox.close()


def most_rows(pairs: PairsConfig) -> int:
    """Return the most rows that a batch can have."""
    return pairs.videos_per_batch * pairs.clips_per_video * pairs.clip_frames
