"""Dry runs: the plan of a training, its time and memory, and a look at its first batch."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import closing

import torch
from torch import Tensor

from seqff.allocator import freed_memory_kept
from seqff.config import TrainConfig
from seqff.devices import choose_device, clock, world_size
from seqff.nets import Encoder
from seqff.pairs import PairStream
from seqff.relation import Relation
from seqff.training.batches import Example
from seqff.training.calibrate import BATCHES as CALIBRATED
from seqff.training.calibrate import calibrate
from seqff.training.dry_run_result import DryRun
from seqff.training.learner import LayerLearner
from seqff.training.memory import Memory, frame_bytes, kept_for_the_way_back, peak_bytes, state_bytes, step_bytes
from seqff.training.monitors import UNTRAINED, LayerMonitor
from seqff.training.setup import Setup, begin_with, build, with_steps
from seqff.training.strategies import build_strategy
from seqff.training.trainer import Callback, StepReport, Trainer, read_metrics
from seqff.video import Manifest, scan
from seqff.video.rows import shapes

TIMED = 3
"""Number of timed steps, after one warm-up step."""
BATCHES = max(CALIBRATED, TIMED + 1)


def dry_run_of(
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    config: TrainConfig,
    *,
    init: str | os.PathLike[str] | Encoder | None,
    seed: int,
    device: str,
    max_bad: float,
    progress: bool,
) -> DryRun:
    """Return what a training would do; see `seqff.train`.

    Raises:
        SeqffError: the videos cannot be used.
        ValueError: settings that do not fit each other or the videos, or several processes.
    """
    if world_size() > 1:
        raise ValueError("a dry run needs a single process: run it without torchrun")
    config, given = begin_with(init, config)
    manifest = scan(videos, max_bad=max_bad, progress=progress)
    config = with_steps(config, manifest)
    with freed_memory_kept():  # as in the training
        return _try_out(manifest, config, given, seed=seed, target=choose_device(device), max_bad=max_bad)


def _try_out(
    manifest: Manifest, config: TrainConfig, given: Encoder | None, *, seed: int, target: torch.device, max_bad: float
) -> DryRun:
    """Read a round of videos, inspect its first batch, take a few steps, and collect the results."""
    pairs = dataclasses.replace(config.pairs, cache="none")
    bare = dataclasses.replace(config, workers=0, greedy_cache=0, pairs=pairs)
    setup = build(manifest, bare, given, seed=seed, device=target, max_bad=max_bad)
    learners, stream = setup.learners, setup.stream
    examples, positives, read = _read_round(setup)
    calibrate(learners, iter(examples))
    frames, relation = examples[0]
    layers, step = _look(learners, frames, relation, config)
    taken = _time(setup, examples)
    decoded, batch = _decoded_bytes(stream), frames.numel() * frames.element_size()
    kept = stream.dataset.kept or {}
    still = stream.dataset.kept_bytes - sum(video.nbytes for video in kept.values())  # the dry run has kept one round
    per_epoch = stream.plan.rounds_per_epoch * stream.plan.batches_per_round
    return DryRun(
        len(manifest),
        len(manifest.usable),
        len(stream.without_pair),
        int(stream.plan.frames.sum()),
        per_epoch,
        positives * per_epoch,
        config.steps,
        tuple(frames.shape),
        stream.transform.fit,
        *_misfits(stream),
        float(frames.mean()),
        float(frames.std()),
        len(relation.positive),
        layers,
        Memory(
            peak_bytes() - (0 if target.type == "cuda" else (len(examples) - 1) * batch) + still,
            decoded + stream.dataset.kept_bytes,
            decoded * bool(config.workers),
            state_bytes(learners, config),
            batch,
            step,
            target.type == "cuda",
        ),
        read,
        taken,
        config.steps * (max(read / config.workers, taken) if config.workers else read + taken),
        str(target),
    )


def _misfits(stream: PairStream) -> tuple[int, tuple[float, float], tuple[float, float]]:
    """Return how many videos differ in aspect ratio from the input, their losses, and the extreme aspect ratios."""
    lost = [stream.transform.lost(height, width) for height, width in shapes(stream.entries)]
    some = [share for share in lost if share] or [0.0]
    aspects = [width / height for height, width in shapes(stream.entries)]
    return sum(map(bool, lost)), (statistics.mean(some), max(some)), (min(aspects), max(aspects))


def _decoded_bytes(stream: PairStream) -> int:
    """Return the bytes of a round's decoded frames, assuming the largest video throughout."""
    sizes = [stream.transform.decode_size(height, width) for height, width in shapes(stream.entries)]
    largest = max(sizes, key=lambda size: size[0] * size[1])
    return frame_bytes(stream.config, stream.plan.videos_per_round, largest)


def _read_round(setup: Setup) -> tuple[list[Example], float, float]:
    """Return the first batches of a round, and the mean number of positive pairs and seconds of reading per batch.

    Videos are decoded at the start of a round, so only a whole round shows the cost of a batch.
    """
    kept, pairs, count = list[Example](), 0, setup.stream.plan.batches_per_round
    with closing(setup.source()(0)) as examples:
        began = time.perf_counter()
        for number, (h, relation) in enumerate(itertools.islice(examples, max(count, BATCHES))):
            if number < BATCHES:
                kept.append((h, relation))
            if number < count:
                pairs, seconds = pairs + len(relation.positive), time.perf_counter() - began
    return kept, pairs / count, seconds / count


@torch.enable_grad()
def _look(
    learners: list[LayerLearner], h: Tensor, relation: Relation, config: TrainConfig
) -> tuple[dict[str, dict[str, float]], int]:
    """Return each untrained layer's metrics on a batch, and the bytes of the largest step on it."""
    copies = copy.deepcopy(learners)
    graphs, outputs = [], []
    for learner in copies:
        learner.monitor = LayerMonitor(learner.layer, learner.head)
        learner.monitor.due = True
        with kept_for_the_way_back(h, *learner.parameters) as graph:
            h = learner.loss(h.detach(), relation, detached=True)[0].detach()  # frees the graph at once
        graphs.append(graph)
        outputs.append(h.numel() * h.element_size())
    metrics: dict[str, dict[str, float]] = {}
    for key, value in read_metrics(copies).items():
        layer, _, name = key.partition("/")
        if not name.startswith(UNTRAINED):  # it is the same net
            metrics.setdefault(layer, {})[name] = value
    return metrics, step_bytes(graphs, outputs, config)


def _time(setup: Setup, examples: list[Example]) -> float:
    """Return the median seconds of a step, measured on copies; for greedy training, averaged over the layers."""
    turns = len(setup.learners) if setup.config.trainer == "greedy" else 1
    config = dataclasses.replace(setup.config, steps=turns * (TIMED + 1))
    copies, timer = copy.deepcopy(setup.learners), StepTimer(setup.device)
    trainer = Trainer(setup.encoder, copies, build_strategy(copies, config), [timer], steps=config.steps)
    trainer.fit(itertools.cycle(examples[: TIMED + 1]))
    each = [timer.seconds[start + 1 : start + TIMED + 1] for start in range(0, config.steps, TIMED + 1)]
    return statistics.mean(map(statistics.median, each))


class StepTimer(Callback):
    """Records the duration of each step.

    Attributes:
        seconds: of every step.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds, self._began = device, list[float](), 0.0

    def before_step(self, step: int) -> None:
        self._began = clock(self.device)

    def after_step(self, report: StepReport) -> None:
        self.seconds.append(clock(self.device) - self._began)
