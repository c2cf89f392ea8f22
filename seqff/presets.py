"""Published methods as changes to the default settings, for `seqff train --preset`."""

from __future__ import annotations

from dataclasses import dataclass

from seqff.config import (
    EncoderConfig,
    GoodnessConfig,
    InfoNCEConfig,
    ObjectiveConfig,
    OptimConfig,
    PairsConfig,
    TrainConfig,
)


@dataclass(frozen=True)
class Preset:
    """A published method.

    Args:
        text: one-line description.
        reference: the publication.
        config: the settings; everything that the publication does not specify is the default.
    """

    text: str
    reference: str
    config: TrainConfig


ADAMW = OptimConfig(name="adamw")
"""Optimizer of the published methods; their authors used Adam or SGD, never Muon."""
AS_FAST = OptimConfig(name="adamw", head_lr=1.0)

PRESETS: dict[str, Preset] = {
    "default": Preset("the defaults of `seqff train`", "this package", TrainConfig()),
    "temporal-hinge": Preset(
        "positives within a tolerance, negatives beyond a margin, one head per layer",
        "Hadsell, Chopra, LeCun 2006 (DrLIM); layer by layer: Tang, Yang, Amit 2022, doi:10.3389/fncom.2022.789253",
        TrainConfig(objective=ObjectiveConfig(terms=("temporal_hinge",), margin=1.5)),
    ),
    "infonce": Preset(
        "pick the positive among all negatives by cosine similarity, one head per layer",
        "van den Oord, Li, Vinyals 2018, arXiv:1807.03748; cosines and heads: Chen et al. 2020, arXiv:2002.05709",
        TrainConfig(
            objective=ObjectiveConfig(terms=("infonce",), same_video=0.5, head="mlp", grid=(2,)),
            optim=AS_FAST,
        ),
    ),
    # The authors contrast patches of an image, so that layers must encode positions; here the 2 x 2 grid does that
    "greedy-infomax": Preset(
        "InfoNCE for each layer, forward in time, with bilinear scores, without a head",
        "Loewe, O'Connor, Veeling 2019, arXiv:1905.11786",
        TrainConfig(
            objective=ObjectiveConfig(
                terms=("infonce",),
                same_video=0.5,
                head="none",
                grid=(2,),
                infonce=InfoNCEConfig(score="bilinear", temperature=1.0),
            ),
            optim=ADAMW,
        ),
    ),
    "clapp": Preset(
        "a hinge for predicting the positive but not the negatives, without a head",
        "Illing, Ventura, Bellec, Gerstner 2021, arXiv:2010.08262",
        TrainConfig(objective=ObjectiveConfig(terms=("clapp",), same_video=0.5, head="none", grid=(2,)), optim=ADAMW),
    ),
    "lpl": Preset(
        "predict the positive, keep every unit's variance high, decorrelate; no negatives, no head",
        "Halvagal, Zenke 2023, doi:10.1038/s41593-023-01460-y",
        TrainConfig(
            objective=ObjectiveConfig(terms=("lpl",), head="none", grid=(1,)),
            optim=OptimConfig(name="adamw", lr=1e-3, weight_decay=1.5e-6),
        ),
    ),
    "vicreg": Preset(
        "positives attracted, variance in every dimension, dimensions decorrelated; no negatives",
        "Bardes, Ponce, LeCun 2022, arXiv:2105.04906; as a layer's own loss: Siddiqui et al. 2023, arXiv:2302.01647",
        TrainConfig(objective=ObjectiveConfig(terms=("vicreg",), head="mlp", grid=(2,)), optim=AS_FAST),
    ),
    "barlow": Preset(
        "the cross-correlation matrix of positives should be the identity; no negatives",
        "Zbontar et al. 2021, arXiv:2103.03230; as a layer's own loss: Siddiqui et al. 2023, arXiv:2302.01647",
        TrainConfig(objective=ObjectiveConfig(terms=("barlow",), head="mlp", grid=(2,)), optim=AS_FAST),
    ),
    "sigreg": Preset(
        "positives attracted, embeddings distributed as an isotropic Gaussian (LeJEPA); no negatives",
        "Balestriero, LeCun 2025, arXiv:2511.08544",
        TrainConfig(objective=ObjectiveConfig(terms=("sigreg",), head="mlp", grid=(2,)), optim=AS_FAST),
    ),
    "straightening": Preset(
        "straight paths of videos through feature space, variance in every dimension, dimensions decorrelated",
        "Niu, Savin, Simoncelli 2024, arXiv:2411.01777",
        TrainConfig(
            pairs=PairsConfig(clip_frames=3),
            objective=ObjectiveConfig(terms=("straightening",), head="mlp", grid=(2,)),
            optim=AS_FAST,
        ),
    ),
    # The authors tune thresholds per layer; here an untrained layer's goodness is about 1, and so are the thresholds
    "scff": Preset(
        "goodness high for sums of two positives, low for sums of two negatives",
        "Chen, Liu, Laydevant, Grollier 2025, doi:10.1038/s41467-025-61037-0",
        TrainConfig(objective=ObjectiveConfig(terms=("scff",), same_video=0.5, head="none"), optim=ADAMW),
    ),
    "sfa": Preset(
        "slow feature analysis: the slowest few directions after whitening",
        "Wiskott, Sejnowski 2002, doi:10.1162/089976602317318938; by gradients: Schueler et al. 2019, arXiv:1808.08833",
        TrainConfig(
            objective=ObjectiveConfig(terms=("slowness",), head="linear", head_out=16, grid=(2,)),
            optim=AS_FAST,
        ),
    ),
    # Sums over whole maps saturate the loss; a convolution's activity vector is the channels at one position
    "forward-forward": Preset(
        "goodness high for frames, low for hybrids of two, at every position of a map; normalization between layers",
        "Hinton 2022, arXiv:2212.13345",
        TrainConfig(
            encoder=EncoderConfig(norm="rms"),
            objective=ObjectiveConfig(
                terms=("goodness",), head="none", goodness=GoodnessConfig(form="mean", over="position")
            ),
            optim=ADAMW,
        ),
    ),
    "seed-note": Preset(
        "the bare positive hinge with fixed tolerances and no protection against collapse, to show how it fails",
        "the origin of this package; on its collapse: Hadsell, Chopra, LeCun 2006 (DrLIM)",
        TrainConfig(
            objective=ObjectiveConfig(
                terms=("temporal_hinge",),
                tolerance=(0.2, 0.1, 0.05, 0.025),
                negative_weight=0.0,
                embedding_norm="none",
                head="none",
                grid=(1,),
            ),
            optim=ADAMW,
        ),
    ),
}
