"""What `seqff train --dry-run` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqff.terminal import as_lines
from seqff.watch.words import LEGEND, clock, table

if TYPE_CHECKING:
    from seqff.training.dry_run import DryRun
    from seqff.training.memory import Memory


def describe(plan: DryRun) -> str:
    """Return the plan, the first batch, the memory and the time as lines for people."""
    rows, channels, height, width = plan.shape
    ignored = f", {plan.without_pair} of them without a pair and left out" if plan.without_pair else ""
    lines = [
        f"videos:  {plan.videos}, {plan.usable} usable{ignored}; {plan.frames} frames",
        f"epoch:   {plan.batches_per_epoch} batches with some {plan.pairs_per_epoch:.0f} positive pairs",
        f"plan:    {plan.steps} steps of a batch each: {plan.epochs:.1f} epochs",
        f"shape:   {_shape(plan)}",
        "",
        f"first batch, {rows} frames of {channels} x {height} x {width}, mean {plan.mean:.3f}, standard deviation "
        f"{plan.std:.3f}, {plan.positives} positive pairs;",
        "what the untrained layers make of it:",
        *table(plan.layers),
        LEGEND,
        "",
        *_memory(plan.memory),
        f"time:    about {clock(plan.seconds)} on {plan.device}: {1000 * plan.read_seconds:.0f} ms to read a batch "
        f"(mean of a round), {1000 * plan.step_seconds:.0f} ms for a step (median of a few)",
        "next: the same command without --dry-run",
    ]
    return as_lines(lines)


def _shape(plan: DryRun) -> str:
    """Say what becomes of videos of other shapes than the encoder's input."""
    height, width = plan.shape[2:]
    if not plan.misfits:
        return f"{width} x {height} px fit all videos"
    what = {
        "crop": "of each frame is cut off",
        "letterbox": "of the input is bars",
        "squeeze": "is how far it is squeezed",
    }
    least, most = plan.shapes
    return (
        f"{width} x {height} px (width / height {width / height:.2f}); {plan.misfits} videos have another shape, "
        f"{least:.2f} to {most:.2f}: "
        f"{plan.lost[0]:.0%} {what[plan.fit]} in the mean, {plan.lost[1]:.0%} at most (--pairs.fit {plan.fit})"
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
