"""Checkpoints during training: when to write one, and from which one to resume."""

from __future__ import annotations

import logging
from pathlib import Path

from seqff.config import TrainConfig
from seqff.errors import RunError
from seqff.nets import Encoder, save_encoder
from seqff.training.checkpoint import Progress, clean_up, complete, list_checkpoints, load_checkpoint, write_part
from seqff.training.learner import LayerLearner
from seqff.training.trainer import Callback, StepReport

log = logging.getLogger(__name__)


class Checkpointer(Callback):
    """Writes the checkpoints and the encoder of a run.

    Attributes:
        ahead: batches consumed by each replica beyond the number of steps.
        saved: step of the last checkpoint, by this or an earlier process; 0 if there is none.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(
        self, run: Path, encoder: Encoder, learners: list[LayerLearner], config: TrainConfig, *, replicas: int = 1
    ) -> None:
        check_saving(config)
        self.run, self.encoder, self.learners, self.config, self.replicas = run, encoder, learners, config, replicas
        self.ahead, self.saved = 0, 0

    def resume(self) -> Progress:
        """Restore everything from the last usable checkpoint, and return its progress.

        Raises:
            RunError: there are checkpoints, but none is usable.
        """
        clean_up(self.run)
        found = self.find()
        if found is None:
            return Progress(replicas=self.replicas)
        progress = load_checkpoint(found, self.learners)
        self.save_encoder()  # a kill may have come between checkpoint and encoder
        self.saved = progress.step
        return progress

    def find(self) -> Path | None:
        """Return the latest intact checkpoint; damaged ones are renamed."""
        checkpoints = list_checkpoints(self.run)
        damaged: list[tuple[Path, RunError]] = []
        for folder in reversed(checkpoints):
            try:
                load_checkpoint(folder, self.learners, optimizer=False)
            except RunError as error:
                damaged.append((folder, error))
                continue
            for bad, why in damaged:
                log.warning("%s. It is renamed; the run continues from %s", why, folder.name)
                bad.replace(bad.with_name(f"{bad.name}.damaged"))
            return folder
        if damaged:
            raise RunError(
                f"{damaged[0][1]}; no other checkpoint can be used either. Start again in another folder, or delete "
                "this one with --overwrite"
            )
        return None

    def after_step(self, report: StepReport) -> None:
        """Request a checkpoint every `checkpoint_every` steps, and at the end."""
        report.save = report.save or report.step % self.config.checkpoint_every == 0 or report.last

    def on_checkpoint(self, step: int) -> None:
        """Write a checkpoint and the encoder.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        self.write(step)
        self.saved = step

    def write(self, step: int) -> None:
        """Write checkpoint and encoder; a kill at any moment leaves the previous checkpoint intact."""
        files = write_part(self.run, step, self.learners)
        complete(self.run, self.progress(step), files)
        self.save_encoder()

    def progress(self, step: int) -> Progress:
        """Return the progress of the training at a step."""
        return Progress(step, step + self.ahead, self.replicas)

    def save_encoder(self) -> None:
        """Write the encoder."""
        try:
            save_encoder(self.encoder, self.run)
        except OSError as error:
            raise RunError(f"{self.run}: the encoder cannot be written ({error.strerror})") from error


def check_saving(config: TrainConfig) -> None:
    """Raise ValueError unless the settings of checkpoints are in range."""
    if config.checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {config.checkpoint_every}")
