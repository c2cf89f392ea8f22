"""What a dry run found, as data and as lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from seqff.display import preformatted
from seqff.metrics import LEGEND, clock, table
from seqff.terminal import as_lines
from seqff.training.memory import Memory


@dataclass(frozen=True)
class DryRun:
    """What a training would do.

    Args:
        videos: in the manifest.
        usable: of them.
        without_pair: usable, but without two frames that make a pair.
        frames: in the videos trained on.
        batches_per_epoch: an epoch visits as many videos as there are.
        pairs_per_epoch: positive pairs in these batches, by the mean of those read here.
        steps: batches of the whole training.
        shape: of the first batch, (rows, channels, height, width).
        fit: what becomes of videos of another shape (`pairs.fit`).
        misfits: videos of which something is cut off (or squeezed, or shown beside bars).
        lost: how much of those, the mean and the largest share.
        shapes: the flattest and the widest video, width over height.
        mean: of its frames, as the encoder sees them.
        std: their standard deviation.
        positives: pairs in the first batch.
        layers: for each layer the figures of the first batch, before any step; names as in metrics.jsonl.
        memory: what it will hold at its peak, bytes.
        read_seconds: to make a batch ready, the mean over a round of videos.
        step_seconds: to take a step.
        seconds: of the whole training.
        device: where it would compute.
    """

    videos: int
    usable: int
    without_pair: int
    frames: int
    batches_per_epoch: int
    pairs_per_epoch: float
    steps: int
    shape: tuple[int, ...]
    fit: str
    misfits: int
    lost: tuple[float, float]
    shapes: tuple[float, float]
    mean: float
    std: float
    positives: int
    layers: Mapping[str, Mapping[str, float]]
    memory: Memory
    read_seconds: float
    step_seconds: float
    seconds: float
    device: str

    @property
    def epochs(self) -> float:
        """How often the training goes through the videos."""
        return self.steps / self.batches_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        sums = {"host": self.memory.host, "computing": self.memory.computing}
        return {**asdict(self), "epochs": self.epochs, "memory": {**asdict(self.memory), **sums}}

    def __repr__(self) -> str:
        cost = f"about {clock(self.seconds)} and {self.memory.host / 1e6:.0f} MB on {self.device}"
        return f"DryRun({self.steps} steps on {self.usable} videos, {cost})"

    def table(self) -> str:
        """The plan, the first batch, the memory and the time as lines for people."""
        rows, channels, height, width = self.shape
        ignored = f", {self.without_pair} of them without a pair and left out" if self.without_pair else ""
        lines = [
            f"videos:  {self.videos}, {self.usable} usable{ignored}; {self.frames} frames",
            f"epoch:   {self.batches_per_epoch} batches with some {self.pairs_per_epoch:.0f} positive pairs",
            f"plan:    {self.steps} steps of a batch each: {self.epochs:.1f} epochs",
            f"shape:   {self._shape()}",
            "",
            f"first batch, {rows} frames of {channels} x {height} x {width}, mean {self.mean:.3f}, standard deviation "
            f"{self.std:.3f}, {self.positives} positive pairs;",
            "what the untrained layers make of it:",
            *table(self.layers),
            LEGEND,
            "",
            *_memory(self.memory),
            f"time:    about {clock(self.seconds)} on {self.device}: {1000 * self.read_seconds:.0f} ms to read a batch "
            f"(mean of a round), {1000 * self.step_seconds:.0f} ms for a step (median of a few)",
        ]
        return as_lines(lines)

    def _repr_html_(self) -> str:
        """The same, for notebooks."""
        return preformatted(self.table())

    def _shape(self) -> str:
        """Say what becomes of videos of other shapes than the encoder's input."""
        height, width = self.shape[2:]
        if not self.misfits:
            return f"{width} x {height} px fit all videos"
        what = {
            "crop": "of each frame is cut off",
            "letterbox": "of the input is bars",
            "squeeze": "is how far it is squeezed",
        }
        least, most = self.shapes
        return (
            f"{width} x {height} px (width / height {width / height:.2f}); {self.misfits} videos have another shape, "
            f"{least:.2f} to {most:.2f}: "
            f"{self.lost[0]:.0%} {what[self.fit]} in the mean, {self.lost[1]:.0%} at most (--pairs.fit {self.fit})"
        )


def _memory(memory: Memory) -> list[str]:
    """Say how much, and of what it is the sum."""

    def mb(number: int) -> str:
        return f"{number / 1e6:.0f} MB"

    parts = [
        f"weights, moments, monitors {mb(memory.state)}",
        f"a batch {mb(memory.batch)}",
        f"activations and gradients of the largest step {mb(memory.step)}",
    ]
    ahead = f", {mb(memory.workers)} of it read ahead by workers" if memory.workers else ""
    held = f"memory:  about {mb(memory.host)} of the process, by the most that this dry run held{ahead}; of it"
    frames = f"decoded frames {mb(memory.frames)}"
    if not memory.on_cuda:
        return [f"{held} {', '.join([frames, *parts])}"]
    return [f"{held} {frames}", f"         about {mb(memory.computing)} on the device: {', '.join(parts)}"]
