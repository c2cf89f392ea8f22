"""From the settings to the trainer."""

from __future__ import annotations

from pathlib import Path

from seqff.config import TrainConfig
from seqff.training.greedy import GreedyTrainer
from seqff.training.learner import LayerLearner
from seqff.training.trainers import EndToEndTrainer, LocalTrainer, OverlapTrainer, Trainer

TRAINERS = ("local", "overlap", "greedy", "end_to_end", "end_to_end_sum")


def build_trainer(
    learners: list[LayerLearner], config: TrainConfig, *, cache: Path | None = None, endless: bool = False
) -> Trainer:
    """Build what takes the steps of a training.

    Args:
        learners: the layers, bottom to top.
        config: which trainer, and its settings.
        cache: folder for the greedy trainer's cache, if the settings ask for one.
        endless: a training on a stream: steps=0, whose end is not known, is allowed, and layer after layer is not.

    Raises:
        ValueError: settings that do not fit each other or the number of layers.
    """
    check_trainer(config, layers=len(learners), endless=endless)
    steps, optim = config.steps, config.optim
    if config.trainer == "local":
        return LocalTrainer(learners, steps=steps, optim=optim)
    if config.trainer == "overlap":
        return OverlapTrainer(learners, steps=steps, optim=optim)
    if config.trainer == "greedy":
        kept = cache if config.greedy_cache else None
        return GreedyTrainer(learners, steps=steps, optim=optim, cache=kept, cache_batches=config.greedy_cache_batches)
    return EndToEndTrainer(learners, steps=steps, optim=optim, summed=config.trainer == "end_to_end_sum")


def check_trainer(config: TrainConfig, *, layers: int, endless: bool = False) -> None:
    """Raise ValueError unless the trainer's settings fit each other and the number of layers."""
    name = config.trainer
    if name not in TRAINERS:
        raise ValueError(f"unknown trainer {name!r}: choose from {', '.join(TRAINERS)}")
    if config.steps < (0 if endless else 1):
        otherwise = "or 0 for as long as the stream lasts" if endless else "which `train` finds by itself for 0"
        raise ValueError(f"steps must be at least 1, {otherwise}, got {config.steps}")
    if endless and name == "greedy":
        raise ValueError(
            "a stream comes once, and trainer='greedy' would show each layer another part of it: use local"
        )
    if config.activation_checkpointing and not name.startswith("end_to_end"):
        few = "two layers'" if name == "overlap" else "one layer's"
        raise ValueError(
            f"activation_checkpointing is for trainer='end_to_end', which keeps the graphs of all layers at once; "
            f"trainer={name!r} keeps {few} anyway: leave activation_checkpointing out"
        )
    if config.compile and name == "overlap":
        raise ValueError(
            "trainer='overlap' goes back through a layer twice, and what torch.compile makes goes back once: leave "
            "compile out"
        )
    if config.greedy_cache and name != "greedy":
        raise ValueError(
            f"greedy_cache is for trainer='greedy', which has finished layers; trainer={name!r} has none: leave "
            "greedy_cache out"
        )
    if config.greedy_cache_batches < 1:
        raise ValueError(f"greedy_cache_batches must be at least 1, got {config.greedy_cache_batches}")
    if name == "greedy" and config.steps < layers:
        raise ValueError(
            f"trainer='greedy' shares the steps out among the layers: steps={config.steps} is less than one for each "
            f"of {layers}"
        )
