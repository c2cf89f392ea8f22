"""All objectives by name, and a layer's weighted sum of them from its settings."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from dataclasses import dataclass

import torch

from seqff.config import ObjectiveConfig
from seqff.objectives.barlow import Barlow
from seqff.objectives.base import Objective, WeightedSum
from seqff.objectives.clapp import CLAPP
from seqff.objectives.goodness import Goodness
from seqff.objectives.infonce import InfoNCE
from seqff.objectives.logistic_hinge import LogisticHinge
from seqff.objectives.lpl import LPL
from seqff.objectives.scff import SCFF
from seqff.objectives.sigreg import SIGReg
from seqff.objectives.slowness import Slowness
from seqff.objectives.straightening import Straightening
from seqff.objectives.temporal_hinge import TemporalHinge
from seqff.objectives.tolerance import Tolerance, build_tolerances
from seqff.objectives.vicreg import VICReg
from seqff.objectives.video_infonce import VideoInfoNCE


@dataclass(frozen=True)
class Place:
    """Where an objective will stand.

    Args:
        tolerance: delta_l of the layer.
        channels: C of the layer's map.
        dim: D of the embedding the head gives.
        generator: source of initial weights.
    """

    tolerance: Tolerance
    channels: int
    dim: int
    generator: torch.Generator | None = None


OBJECTIVES: dict[str, Callable[[ObjectiveConfig, Place], Objective]] = {
    "goodness": lambda config, place: Goodness(config.goodness),
    "temporal_hinge": lambda config, place: TemporalHinge(config, place.tolerance, place.generator),
    "logistic_hinge": lambda config, place: LogisticHinge(config, place.tolerance, place.generator),
    "infonce": lambda config, place: InfoNCE(config, place.dim, place.generator),
    "clapp": lambda config, place: CLAPP(config, place.dim, place.generator),
    "vicreg": lambda config, place: VICReg(config.vicreg, place.tolerance),
    "barlow": lambda config, place: Barlow(config.barlow),
    "sigreg": lambda config, place: SIGReg(config.sigreg, place.generator),
    "straightening": lambda config, place: Straightening(config.straightening),
    "lpl": lambda config, place: LPL(config.lpl),
    "slowness": lambda config, place: Slowness(),
    "scff": lambda config, place: SCFF(config),
    "video_infonce": lambda config, place: VideoInfoNCE(),
}


def parse_terms(terms: tuple[str, ...], layers: int) -> list[dict[str, float]]:
    """Read `name`, `name:weight` or `name:w1,w2,...` (a weight a layer) into the weights of every layer.

    Raises:
        ValueError: an unknown name, a weight that is no number, or a list of the wrong length.
    """
    found: list[dict[str, float]] = [{} for _ in range(layers)]
    for text in terms:
        name, _, weights = text.partition(":")
        if name not in OBJECTIVES:
            close = difflib.get_close_matches(name, OBJECTIVES, n=1)
            guess = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(OBJECTIVES))}"
            raise ValueError(f"objective.terms: unknown objective {name!r}; {guess}")
        try:
            values = [float(value) for value in weights.split(",")] if weights else [1.0]
        except ValueError:
            raise ValueError(f"objective.terms: {text!r}: weights are numbers, as in {name}:0.5") from None
        values = values * layers if len(values) == 1 else values
        if len(values) != layers or min(values) < 0:
            raise ValueError(f"objective.terms: {text!r}: give one weight or {layers}, one a layer, none below 0")
        for place, value in zip(found, values, strict=True):
            if value:
                place[name] = value
    for number, weighted in enumerate(found, start=1):
        if not weighted:
            raise ValueError(f"objective.terms = {terms}: layer {number} has no objective")
    return found


def build_objectives(
    config: ObjectiveConfig, channels: list[int], dims: list[int], *, generator: torch.Generator | None = None
) -> list[WeightedSum]:
    """Build the loss of every layer, bottom to top.

    Args:
        config: which terms, and their settings.
        channels: C of every layer's map.
        dims: D of every layer's embedding.
        generator: source of initial weights.

    Raises:
        ValueError: settings out of range or of the wrong length.
    """
    tolerances = build_tolerances(config.tolerance, len(channels))
    weights = parse_terms(config.terms, len(channels))
    losses = []
    for tolerance, c, d, of_layer in zip(tolerances, channels, dims, weights, strict=True):
        # each term follows its own tolerance: two may measure distance differently
        places = {name: Place(copy.deepcopy(tolerance), c, d, generator) for name in of_layer}
        terms = {name: (OBJECTIVES[name](config, places[name]), of_layer[name]) for name in places}
        losses.append(WeightedSum(terms, d))
    return losses
