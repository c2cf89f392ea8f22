"""The result of a dry run, as data and as text."""

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
        videos: number of videos in the manifest.
        usable: number of usable videos.
        without_pair: usable videos that contain no positive pair.
        frames: total frames of the videos trained on.
        batches_per_epoch: batches in an epoch, which has as many visits as there are videos.
        pairs_per_epoch: positive pairs per epoch, extrapolated from the batches read.
        steps: steps of the whole training, one batch each.
        shape: shape of the first batch, (rows, channels, height, width).
        fit: how videos with another aspect ratio are fitted (`pairs.fit`).
        misfits: number of videos that are cropped (or squeezed or letterboxed).
        lost: mean and largest share that these lose.
        shapes: smallest and largest aspect ratio, width over height.
        mean: mean of the frames of the first batch, as the encoder sees them.
        std: their standard deviation.
        positives: positive pairs in the first batch.
        layers: metrics of each untrained layer on the first batch, named as in metrics.jsonl.
        memory: estimated peak memory, bytes.
        read_seconds: seconds to read a batch, averaged over a round of videos.
        step_seconds: seconds per step.
        seconds: seconds of the whole training.
        device: device of the training.
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
        """Number of epochs in the training."""
        return self.steps / self.batches_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        sums = {"host": self.memory.host, "computing": self.memory.computing}
        return {**asdict(self), "epochs": self.epochs, "memory": {**asdict(self.memory), **sums}}

    def __repr__(self) -> str:
        cost = f"about {clock(self.seconds)} and {self.memory.host / 1e6:.0f} MB on {self.device}"
        return f"DryRun({self.steps} steps on {self.usable} videos, {cost})"

    def table(self) -> str:
        """Return the plan, the first batch, memory and time as text."""
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
        """Describe how videos with other aspect ratios than the encoder's input are fitted."""
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
    """Describe the memory estimate and its parts."""

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
