"""The run folder: its contents, and how it is created, resumed or replaced."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from seqff.claim import PATIENCE_SECONDS, Claim
from seqff.config_io import CONFIG, dump_yaml, flat, read_run_config
from seqff.display import html_table, import_pandas
from seqff.errors import RunError
from seqff.files import check_folder, empty_folder, manifest_in, whole_folder, write_atomically, write_json
from seqff.metrics import LOCK, METRICS, by_layer, layer_rows, read_metrics
from seqff.nets import Encoder

if TYPE_CHECKING:
    import pandas

ENVIRONMENT, STREAM = "env.json", "stream.json"
_RESTART_SECONDS = 30.0  # torchrun restarts while the previous processes may still be exiting
FREE = ("stages", "workers", "checkpoint_every", "loggers", "live", "steps")
"""Settings that do not affect the results, and may differ in a resumed run; `steps` may only grow (see `lengthen`)."""
_ABSENT = "none"
log = logging.getLogger(__name__)


@dataclass
class Run:
    """The result of a training.

    Args:
        path: the run folder.
        encoder: the trained encoder, on the CPU in eval mode.
        metrics: the last logged metrics, `layer/name` -> value.
        seconds: time spent on steps in this process.
        stream: for a training on a stream, the frames received and lost (the content of stream.json).
    """

    path: Path
    encoder: Encoder
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    stream: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {len(self.encoder.layers)} layers, trained in {self.seconds:.0f} s)"

    def _repr_html_(self) -> str:
        """Return the last metrics of each layer as HTML, for notebooks."""
        return html_table(repr(self), layer_rows(by_layer(self.metrics)))

    def to_frame(self) -> pandas.DataFrame:
        """Read metrics.jsonl as a pandas DataFrame.

        Returns:
            One row per logged step (the index), one column per metric: "lr", "frames", "seconds", "layer1/loss", ...

        Raises:
            RunError: pandas is not installed, or metrics.jsonl is damaged.
        """
        return import_pandas().DataFrame(read_metrics(self.path / METRICS)).set_index("step")


def environment() -> dict[str, str]:
    """Return the versions of packages that the results depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("seqff", "torch", "torchvision", "numpy", "decord", "av", "opencv-python"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    versions["threads"] = str(torch.get_num_threads())
    return versions


def machine() -> str:
    """Return the processor, its number of cores, and the GPU, if any."""
    parts = [f"{platform.machine()} with {os.cpu_count()} cores"]
    return ", ".join([*parts, *([torch.cuda.get_device_name()] if torch.cuda.is_available() else [])])


def claim_run(run: Path, *, restarted: bool = False) -> Claim:
    """Lock the run folder for this training until the claim is closed. Call it before reading anything in the folder.

    Raises:
        RunError: another training is using it.
    """
    return Claim(run, name=LOCK, keep=True, patience=_RESTART_SECONDS if restarted else PATIENCE_SECONDS)


def check_run(run: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool, stream: bool = False) -> bool:
    """Check that a training may use the folder, before anything is read or written.

    Args:
        run: the folder.
        settings: the resolved settings as plain data.
        resume: continue the existing run.
        overwrite: the existing run may be deleted.
        stream: whether the training is on a stream.

    Returns:
        Whether there is a run to resume.

    Raises:
        RunError: the folder holds other files, or a run with different settings.
    """
    if not (resume or overwrite) and (changed := _known_changes(run, settings)):
        raise RunError(
            f"{run} exists, made with other settings: {changed}; choose another folder, or overwrite deletes it and "
            "starts again; resume continues it, with its original settings"
        )
    check_folder(run, marker=CONFIG, overwrite=overwrite, resume=resume)
    if resume and (run / CONFIG).exists():
        if changed := _changes(run, settings):
            raise RunError(
                f"{run} was started with other settings: {changed}; resume with its original settings, or choose "
                "another folder"
            )
        kinds = ("videos", "a stream") if stream else ("a stream", "videos")
        if (manifest_in(run) if stream else run / STREAM).exists():
            raise RunError(
                f"{run} is a training on {kinds[0]}, and cannot go on with {kinds[1]}: choose another folder"
            )
        return True
    return False


def lengthen(run: Path, settings: dict[str, Any]) -> None:
    """Record a larger number of steps in a run's settings; does nothing if the number is the same.

    The schedule is stretched: from now on the learning rate is that of a training of the new length. So a finished run,
        whose rate had decayed to 0, continues at the rate of the longer schedule.

    Raises:
        RunError: fewer steps than before, or greedy training, which divides its steps among the layers.
    """
    before = recorded_steps(run)
    if before == settings["steps"]:
        return
    if settings["trainer"] == "greedy":
        raise RunError(f"{run}: trainer=greedy shares {before} steps out among the layers: it cannot be made longer")
    if before > settings["steps"]:
        raise RunError(
            f"{run} was started with steps={before}, now {settings['steps']} are asked for: it can be made longer, not "
            "shorter; leave --steps out to go on to its own end"
        )
    write_atomically(run / CONFIG, dump_yaml(settings))
    after = settings["steps"]
    log.warning("%s: %d steps instead of %d; the learning rate is now that of the longer training", run, after, before)


def recorded_steps(run: Path) -> int:
    """Return the number of steps of the run in a folder; 0 if there is no run, or its number is unknown."""
    try:
        steps = read_run_config(run).get("steps", 0)
    except RunError:
        return 0
    return steps if type(steps) is int else 0


def create_run(run: Path, settings: dict[str, Any], **facts: Any) -> None:
    """Create a run folder with settings, versions and other facts; an existing run is deleted.

    Raises:
        RunError: the folder cannot be created.
    """
    with whole_folder(run):
        empty_folder(run)
        run.mkdir(parents=True, exist_ok=True)
        write_atomically(run / CONFIG, dump_yaml(settings))
        date = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        write_json(run / ENVIRONMENT, {"date": date, "machine": machine(), **environment(), **facts})


def _changes(run: Path, settings: dict[str, Any]) -> str:
    """Return the settings that differ from a run's, as "pairs.gap: 1 -> 2"; empty if none does."""
    before = read_run_config(run)
    then, now = (flat({key: known[key] for key in known if key not in FREE}) for known in (before, settings))
    names = [name for name in {**then, **now} if then.get(name, _ABSENT) != now.get(name, _ABSENT)]
    return ", ".join(f"{name}: {then.get(name, _ABSENT)} -> {now.get(name, _ABSENT)}" for name in names)


def _known_changes(run: Path, settings: dict[str, Any]) -> str:
    """Like `_changes`; empty if there is no run or its settings cannot be read."""
    try:
        return _changes(run, settings)
    except RunError:
        return ""
