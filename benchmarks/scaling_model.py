"""What a training step consists of, measured on this machine, and what follows for more processes: a model.

See `scaling.py`, which prints it beside what two processes really do.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing

from seqff.config import TrainConfig
from seqff.devices import choose_precision
from seqff.distributed.balance import Costs, measure, split
from seqff.distributed.stages import most_rows
from seqff.nets import build_encoder
from seqff.pairs import PairStream
from seqff.training import build_learners
from seqff.training.batches import batches
from seqff.transform import fit_transform
from seqff.video import scan

WORKERS = (1, 2, 4, 8, 16, 32, 64)
SIZES = (2**12, 2**17, 2**20, 2**22, 2**24)
"""Bytes that are sent to learn what sending costs."""


@dataclass(frozen=True)
class Link:
    """What it costs to send: seconds a message, and seconds a byte, of the clock and of this process's CPU time.

    Args:
        message: seconds for a message of no length.
        byte: seconds a byte besides.
        cpu_byte: CPU seconds a byte in each of the two processes; what they cannot compute in.
    """

    message: float
    byte: float
    cpu_byte: float


@dataclass(frozen=True)
class Measured:
    """All that the model is made of.

    Args:
        costs: seconds of reading and of every layer's update, on one thread.
        weight_bytes: of every layer with its head.
        rows: frames in a batch.
        reduce: an all-reduce between two processes.
        hand_on: a message from one process to another.
    """

    costs: Costs
    weight_bytes: tuple[int, ...]
    rows: int
    reduce: Link
    hand_on: Link

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def measure_all(videos: Path, config: TrainConfig) -> Measured:
    """Measure a step on one thread of this process, and sending between two."""
    torch.set_num_threads(1)
    manifest = scan(videos, progress=False)
    transform = fit_transform(config.pairs.size_px, [(entry.height, entry.width) for entry in manifest.usable])
    stream = PairStream(manifest, transform, config.pairs, seed=0)
    encoder = build_encoder(config.encoder, transform, seed=0).to(memory_format=torch.channels_last)
    learners = build_learners(encoder, config, seed=0)
    examples = batches(stream, config, torch.device("cpu"), 0, mixtures=False)
    costs = measure(learners, examples, max(8, stream.plan.batches_per_round))
    weights = tuple(sum(p.numel() * p.element_size() for p in learner.parameters) for learner in learners)
    reduce, hand_on = links()
    return Measured(costs, weights, most_rows(config.pairs), reduce, hand_on)


def links() -> tuple[Link, Link]:
    """Measure an all-reduce and a message between two processes on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_send, (folder,), nprocs=2)
        found = json.loads((Path(folder) / "found.json").read_text())
    return Link(**found["reduce"]), Link(**found["hand_on"])


def _send(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)

    def reduce(x: torch.Tensor) -> None:
        dist.all_reduce(x)

    def hand_on(x: torch.Tensor) -> None:
        (dist.send if rank == 0 else dist.recv)(x, 1 - rank)

    found = {name: _fit(way) for name, way in (("reduce", reduce), ("hand_on", hand_on))}
    if rank == 0:
        (Path(folder) / "found.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def _fit(way: Any) -> dict[str, float]:
    """Time a way of sending at all sizes: the least takes the cost of a message, the largest that of a byte."""
    clock: dict[int, float] = {}
    cpu: dict[int, float] = {}
    for size in SIZES:
        x = torch.zeros(size // 4)
        seconds = []
        began = time.process_time()
        for _ in range(10):
            dist.barrier()
            start = time.perf_counter()
            way(x)
            seconds.append(time.perf_counter() - start)
        clock[size], cpu[size] = statistics.median(seconds), (time.process_time() - began) / 10
    least, most = SIZES[0], SIZES[-1]
    span = most - least
    byte, cpu_byte = ((found[most] - found[least]) / span for found in (clock, cpu))
    return {"message": max(0.0, clock[least] - least * byte), "byte": max(0.0, byte), "cpu_byte": max(0.0, cpu_byte)}


def step_seconds(m: Measured, stages: int, replicas: int) -> float:
    """Return what the slowest process of a grid takes for a step, by the model.

    A ring moves 2 (R - 1) / R of the bytes in 2 (R - 1) messages. Both ways of sending go on while layers are computed:
    of them counts the CPU time they take away, and the clock where it is longer than all the computing. Waiting for
    each other's uneven steps is not in the model, nor are processes that share memory channels or a network's switch.
    """
    cuts = split(m.costs.layers, stages, before=m.costs.read)
    slowest = 0.0
    share, messages = 2 * (replicas - 1) / replicas, 2 * (replicas - 1)
    for stage in range(stages):
        first, last = cuts[stage], cuts[stage + 1]
        compute = sum(m.costs.layers[first:last]) + (m.costs.read if stage == 0 else 0.0)
        weights = share * sum(
            m.weight_bytes[first:last]
        )  # the measured all-reduce of two moves each byte once: share 1
        handed = sum(m.rows * m.costs.row_bytes[end - 1] for end in (first, last) if 0 < end < len(m.costs.layers))
        compute += weights * m.reduce.cpu_byte + handed * m.hand_on.cpu_byte
        network = weights * m.reduce.byte + messages * (last - first) * m.reduce.message / 2
        network += handed * m.hand_on.byte + 2 * m.hand_on.message * (stages > 1)
        slowest = max(slowest, compute, network)
    return slowest


def speed_up(m: Measured, stages: int, replicas: int) -> float:
    """Frames a second of a grid over those of one process."""
    return replicas * step_seconds(m, 1, 1) / step_seconds(m, stages, replicas)


def table(m: Measured) -> str:
    """The model for up to 64 processes, in Markdown."""
    depth = len(m.costs.layers)
    lines = [
        "| processes | data | layers | best grid, stages x replicas |",
        "|---|---|---|---|",
    ]
    for workers in WORKERS:
        layers = f"{speed_up(m, workers, 1):.2f}" if workers <= depth else "-"
        grids = [stages for stages in range(2, min(depth, workers // 2) + 1) if workers % stages == 0]
        best = max(grids, key=lambda stages: speed_up(m, stages, workers // stages), default=None)
        grid = "-" if best is None else f"{speed_up(m, best, workers // best):.1f} ({best} x {workers // best})"
        lines.append(f"| {workers} | {speed_up(m, 1, workers):.2f} | {layers} | {grid} |")
    return "\n".join(lines)


def describe(m: Measured, config: TrainConfig) -> str:
    """What was measured, in words."""
    ms = " ".join(f"{1000 * seconds:.1f}" for seconds in m.costs.layers)
    kept = " ".join(f"{m.rows * size / 1e6:.1f}" for size in m.costs.row_bytes)
    weights = " ".join(f"{size / 1e6:.2f}" for size in m.weight_bytes)
    precision = choose_precision(config.precision, torch.device("cpu"))
    text = [
        f"a step of {m.rows} frames on one thread, {precision}: reading {1000 * m.costs.read:.1f} ms; layers {ms} ms; "
        f"their activations {kept} MB; their weights {weights} MB"
    ]
    for name, link in (("all-reduce", m.reduce), ("message", m.hand_on)):
        speed = 1e-9 / max(link.byte, 1e-15)
        text.append(
            f"{name} between two processes: {1e6 * link.message:.0f} us and {speed:.2f} GB/s, "
            f"{1e9 * link.cpu_byte:.2f} CPU seconds a GB"
        )
    return "\n".join(text)
