"""Checkpoints during a training: when one is due, who writes what of it, and which one a resumed run starts from."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from seqff.config import TrainConfig
from seqff.errors import RunError
from seqff.nets import Encoder, save_encoder
from seqff.training.average import averaged
from seqff.training.checkpoint import Place, clean_up, complete, list_checkpoints, load_checkpoint, write_part
from seqff.training.journal import Journal
from seqff.training.learner import LayerLearner
from seqff.training.parallel.ranks import Ranks

log = logging.getLogger(__name__)


class Saver:
    """Writes the checkpoints and the encoder of a run.

    The first rank writes them. Where layers are spread over stages, each stage of the first replica writes the files
    of its layers into the same folder, and the first rank puts it in place when all are there.

    Args:
        run: the run folder.
        encoder: the whole net.
        learners: all its layers.
        own: the layers that learn in this process.
        config: when checkpoints are due, and how many are kept.
        ranks: this process among the others.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(
        self,
        run: Path,
        encoder: Encoder,
        learners: list[LayerLearner],
        own: list[LayerLearner],
        config: TrainConfig,
        ranks: Ranks,
    ) -> None:
        check_saving(config)
        self.run, self.encoder, self.learners, self.own = run, encoder, learners, own
        self.config, self.ranks, self._last = config, ranks, time.monotonic()
        self.others = [learner for learner in learners if learner not in own]

    def resume(self) -> Place:
        """Put everything where the last usable checkpoint left it, and return how far that is.

        Raises:
            RunError: there are checkpoints, and none can be used.
        """
        place = Place(replicas=self.ranks.replicas)
        if self.ranks.leads:
            clean_up(self.run)
            found = self._find()
            self.ranks.put("resume", None if found is None else found.name)
        else:
            name = self.ranks.get("resume")
            found = None if name is None else self.run / "checkpoints" / name
        if found is None:
            return place
        place = load_checkpoint(found, self.own)
        if self.ranks.leads:  # a kill may have come after the checkpoint and before the encoder
            load_checkpoint(found, self.others, optimizer=False)
            self._save_encoder()
        return place

    def _find(self) -> Path | None:
        """Return the latest checkpoint that is whole; damaged ones are put aside under another name."""
        checkpoints = list_checkpoints(self.run)
        damaged: list[tuple[Path, RunError]] = []
        for folder in reversed(checkpoints):
            try:
                load_checkpoint(folder, self.learners, optimizer=False)
            except RunError as error:
                damaged.append((folder, error))
                continue
            for bad, why in damaged:
                log.warning("%s. It is put aside; the run goes on from %s", why, folder.name)
                bad.replace(bad.with_name(f"{bad.name}.damaged"))
            return folder
        if damaged:
            raise RunError(
                f"{damaged[0][1]}; no other checkpoint can be used either. Start again in another folder, or delete "
                "this one with --overwrite"
            )
        return None

    def due(self, step: int) -> bool:
        """Say whether a checkpoint is to be written after so many steps."""
        minutes = self.config.checkpoint_minutes
        late = bool(minutes) and time.monotonic() - self._last >= 60 * minutes
        return step % self.config.checkpoint_every == 0 or step == self.config.steps or late

    def save(self, place: Place, journal: Journal) -> None:
        """Write this process's part of a checkpoint; the first rank puts it in place when all parts are there.

        Args:
            place: how far the training has come.
            journal: whose lines up to there are to be written before.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        self._last = time.monotonic()
        if self.ranks.replica:
            return
        files = write_part(self.run, place.step, self.own)
        if not self.ranks.leads:
            self.ranks.put(f"part {place.step} {self.ranks.stage}", files)
        self.ranks.meet(self.ranks.chain)
        if not self.ranks.leads:
            return
        journal.flush()
        for stage in range(1, self.ranks.stages):
            files |= self.ranks.take(f"part {place.step} {stage}")
        folder = complete(self.run, place, files, keep=self.config.keep_checkpoints)
        if self.others:
            load_checkpoint(folder, self.others, optimizer=False)
        self._save_encoder()

    def _save_encoder(self) -> None:
        """Write the encoder, with the averages of its weights where there are any."""
        try:
            with averaged(learner.average for learner in self.learners):
                save_encoder(self.encoder, self.run)
        except OSError as error:
            raise RunError(f"{self.run}: the encoder cannot be written ({error.strerror})") from error


def check_saving(config: TrainConfig) -> None:
    """Raise ValueError unless the settings of checkpoints are in range."""
    if config.checkpoint_every < 1 or config.keep_checkpoints < 1 or config.checkpoint_minutes < 0:
        raise ValueError(
            "checkpoint_every and keep_checkpoints must be at least 1 and checkpoint_minutes at least 0, got "
            f"{config.checkpoint_every}, {config.keep_checkpoints} and {config.checkpoint_minutes}"
        )
