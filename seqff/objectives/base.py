"""Base class of objectives: modules that map a layer's output and the relations between its rows to a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

from torch import Tensor, nn

from seqff.relation import Relation


class Objective(nn.Module):
    """One term of a layer's loss.

    A term with its own weights (CLAPP's prediction matrix) trains them with the layer; state between steps (a
    tolerance, a counter of draws) is kept in buffers, so that checkpoints contain it.

    `sees` is the input of `forward`: "embedding", the head's output (N, D) float32; "video_embedding", the output of a
    second head on the mean over the whole map; "map", the layer's own output (N, C, H, W) float32; or "composed", the
    layer's output for the inputs returned by `compose`. `needs_mixtures` is true if batches must contain synthetic
    negatives (`relation.real`).
    """

    sees: ClassVar[Literal["embedding", "video_embedding", "map", "composed"]] = "embedding"
    needs_mixtures: ClassVar[bool] = False

    def compose(self, h: Tensor, relation: Relation) -> Tensor:
        """Return the layer inputs for a "composed" term: (N, C, H, W) -> (M, C, H, W)."""
        raise NotImplementedError

    def forward(self, z: Tensor, relation: Relation) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, a scalar with a gradient, and detached scalars for the log by name."""
        raise NotImplementedError


class WeightedSum(nn.Module):
    """The terms of one layer and their weights.

    Args:
        terms: objectives by name, with their weights.
        dim: D of the head's embedding; the rest of the head's output is the video embedding.
    """

    def __init__(self, terms: dict[str, tuple[Objective, float]], dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.terms = nn.ModuleDict({name: term for name, (term, _) in terms.items()})
        self.weights = {name: weight for name, (_, weight) in terms.items()}

    def __iter__(self) -> Iterator[tuple[str, Objective]]:
        """Iterate over the terms by name."""
        return ((name, term) for name, term in self.terms.items() if isinstance(term, Objective))

    def sees(self, what: str) -> bool:
        """Return whether any term uses "embedding", "video_embedding", "map" or "composed"."""
        return any(term.sees == what for _, term in self)

    @property
    def needs_mixtures(self) -> bool:
        """Whether any term needs synthetic negatives in the batch."""
        return any(term.needs_mixtures for _, term in self)

    def forward(
        self, layer: Callable[[Tensor], Tensor], h: Tensor, out: Tensor, z: Tensor | None, relation: Relation
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the layer's loss and the metrics of all terms.

        Args:
            layer: the layer, for terms that need its output for other inputs.
            h: (N, C, H, W), the layer's input.
            out: (N, C', H', W'), the layer's output.
            z: (N, D) float32, the head's output, followed by the video embedding if a term needs it; None if no term
                needs either.
            relation: relation between the N rows.
        """
        losses: list[Tensor] = []
        metrics: dict[str, Tensor] = {}
        for name, term in self:
            if term.sees in ("embedding", "video_embedding"):
                assert z is not None  # the learner checks `sees` first
                seen = z[:, : self.dim] if term.sees == "embedding" else z[:, self.dim :]
            else:
                seen = (out if term.sees == "map" else layer(term.compose(h, relation))).float()
            loss, found = term(seen, relation)
            losses.append(self.weights[name] * loss)
            if len(self.terms) > 1:
                metrics[f"{name}_loss"] = loss.detach()
            metrics |= found
        return sum(losses[1:], losses[0]), metrics
