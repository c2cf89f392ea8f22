"""All objectives by name, and the loss of every layer from the settings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch

from seqff.config import ObjectiveConfig
from seqff.config_io import suggest
from seqff.objectives.base import Objective, WeightedSum
from seqff.objectives.clapp import CLAPP
from seqff.objectives.decorrelation import Decorrelation, Straightening, barlow_terms, lpl_terms, vicreg_terms
from seqff.objectives.goodness import Goodness
from seqff.objectives.infonce import InfoNCE, VideoInfoNCE
from seqff.objectives.scff import SCFF
from seqff.objectives.sigreg import SIGReg
from seqff.objectives.slowness import Slowness
from seqff.objectives.temporal_hinge import TemporalHinge
from seqff.objectives.tolerance import Tolerance, build_tolerances


@dataclass(frozen=True)
class LayerContext:
    """Properties of a layer for building its objective.

    Args:
        tolerance: delta_l of the layer.
        channels: C of the layer's map.
        dim: D of the head's embedding.
        generator: source of initial weights.
    """

    tolerance: Tolerance
    channels: int
    dim: int
    generator: torch.Generator | None = None


def _vicreg(config: ObjectiveConfig, layer: LayerContext) -> Objective:
    names = ("vicreg_invariance", "vicreg_variance", "vicreg_covariance")
    weights = dict(zip(names, config.vicreg.weights, strict=True))
    return Decorrelation(vicreg_terms, weights, layer.tolerance if config.vicreg.tolerant else None)


def _lpl(config: ObjectiveConfig, layer: LayerContext) -> Objective:
    names = ("lpl_predictive", "lpl_hebbian", "lpl_decorrelation")
    return Decorrelation(lpl_terms, dict(zip(names, config.lpl.weights, strict=True)))


def _barlow(config: ObjectiveConfig, layer: LayerContext) -> Objective:
    return Decorrelation(barlow_terms, {"barlow_on_diagonal": 1.0, "barlow_off_diagonal": config.barlow.off_diagonal})


def _logistic_hinge(config: ObjectiveConfig, layer: LayerContext) -> Objective:
    return TemporalHinge(config, layer.tolerance, scale=config.logistic_hinge.scale, generator=layer.generator)


OBJECTIVES: dict[str, Callable[[ObjectiveConfig, LayerContext], Objective]] = {
    "goodness": lambda config, layer: Goodness(config.goodness),
    "temporal_hinge": lambda config, layer: TemporalHinge(config, layer.tolerance, generator=layer.generator),
    "logistic_hinge": _logistic_hinge,
    "infonce": lambda config, layer: InfoNCE(config, layer.dim, layer.generator),
    "clapp": lambda config, layer: CLAPP(config, layer.dim, layer.generator),
    "vicreg": _vicreg,
    "barlow": _barlow,
    "sigreg": lambda config, layer: SIGReg(config.sigreg.weight, layer.generator),
    "straightening": lambda config, layer: Straightening(config.straightening.weights),
    "lpl": _lpl,
    "slowness": lambda config, layer: Slowness(),
    "scff": lambda config, layer: SCFF(config),
    "video_infonce": lambda config, layer: VideoInfoNCE(),
}


def parse_terms(terms: tuple[str, ...], layers: int) -> list[dict[str, float]]:
    """Parse `name`, `name:weight` or `name:w1,w2,...` (one weight per layer) into the weights of every layer.

    Raises:
        ValueError: an unknown name, an invalid weight, or a list of the wrong length.
    """
    found: list[dict[str, float]] = [{} for _ in range(layers)]
    for text in terms:
        name, _, weights = text.partition(":")
        if name not in OBJECTIVES:
            raise ValueError(f"objective.terms: unknown objective {name!r}; {suggest(name, OBJECTIVES)}")
        try:
            values = [float(value) for value in weights.split(",")] if weights else [1.0]
        except ValueError:
            raise ValueError(f"objective.terms: {text!r}: weights are numbers, as in {name}:0.5") from None
        values = values * layers if len(values) == 1 else values
        if len(values) != layers or min(values) < 0:
            raise ValueError(f"objective.terms: {text!r}: give one weight or {layers}, one a layer, none below 0")
        for of_layer, value in zip(found, values, strict=True):
            if value:
                of_layer[name] = value
    for number, weighted in enumerate(found, start=1):
        if not weighted:
            raise ValueError(f"objective.terms = {terms}: layer {number} has no objective")
    return found


def build_objectives(
    config: ObjectiveConfig, channels: list[int], dims: list[int], *, generator: torch.Generator | None = None
) -> list[WeightedSum]:
    """Build the loss of every layer, bottom to top.

    Args:
        config: terms and their settings.
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
        terms = {}
        for name, weight in of_layer.items():
            # each term has its own tolerance, because terms may measure distance differently
            context = LayerContext(copy.deepcopy(tolerance), c, d, generator)
            terms[name] = (OBJECTIVES[name](config, context), weight)
        losses.append(WeightedSum(terms, d))
    return losses
