"""The run folder: what a training writes, and how it is opened anew, resumed or replaced."""

from __future__ import annotations

import difflib
import json
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml

from seqff.config_io import dump_yaml
from seqff.errors import RunError
from seqff.files import check_folder, write_atomically, write_json

CONFIG, METRICS, ENVIRONMENT, MANIFEST = "config.yaml", "metrics.jsonl", "env.json", "manifest.json"
MAX_CONFIG_BYTES = 1_000_000
FREE = ("parallel", "stages", "workers", "checkpoint_every", "checkpoint_minutes", "keep_checkpoints")
"""Settings that say how a training is run and not what it computes: a resumed run may have others."""


def environment() -> dict[str, str]:
    """Return versions of what the numbers depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("seqff", "torch", "torchvision", "numpy", "decord", "av", "opencv-python"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    versions["threads"] = str(torch.get_num_threads())
    return versions


def check_run(run: Path, settings: dict[str, Any], *, resume: bool, overwrite: bool) -> bool:
    """Say whether a training may use the folder, before anything is read or written.

    Args:
        run: the folder.
        settings: the resolved settings as plain data.
        resume: go on with the run that is there.
        overwrite: the run that is there may be deleted.

    Returns:
        Whether there is a run to go on with.

    Raises:
        RunError: the folder is in the way, or holds a run of other settings.
    """
    check_folder(run, marker=CONFIG, overwrite=overwrite, resume=resume)
    if resume and (run / CONFIG).exists():
        _check_same(run / CONFIG, settings)
        return True
    return False


def create_run(run: Path, settings: dict[str, Any]) -> None:
    """Make a fresh run folder with its settings and versions; an older run there is deleted.

    Raises:
        RunError: the folder cannot be made.
    """
    try:
        if run.exists():
            shutil.rmtree(run)
        run.mkdir(parents=True)
        write_atomically(run / CONFIG, dump_yaml(settings))
        write_json(run / ENVIRONMENT, environment())
    except OSError as error:
        raise RunError(f"{run}: cannot be written ({error.strerror})") from error


def _check_same(config: Path, settings: dict[str, Any]) -> None:
    """Raise unless config.yaml holds these settings."""
    try:
        if config.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError(f"{config.stat().st_size} bytes are too much for settings")
        before = yaml.safe_load(config.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError("it holds no settings")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RunError(f"{config}: damaged, the run cannot be resumed ({' '.join(str(error).split())})") from error
    before, settings = ({key: known[key] for key in known if key not in FREE} for known in (before, settings))
    if before != settings:
        lines = difflib.ndiff(dump_yaml(before).splitlines(), dump_yaml(settings).splitlines())
        changed = "; ".join(line for line in lines if line.startswith(("- ", "+ ")))
        raise RunError(f"{config.parent} was started with other settings (- then, + now): {changed}")


class MetricsLog:
    """metrics.jsonl: one JSON object a line; on resume, lines from after the checkpoint are taken back.

    Args:
        path: the file.
        step: steps already taken; later lines are dropped.

    Attributes:
        kept: the lines that were there and stay.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self.path, self.kept = path, read_metrics(path, step=step)
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in self.kept))

    def write(self, figures: dict[str, Any]) -> None:
        """Append one line."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(figures) + "\n")
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({error.strerror})") from error


def read_metrics(path: Path, *, step: int) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl up to a step, none if there is no such file.

    Raises:
        RunError: a line is not what a training writes.
    """
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:  # the line a kill cut short
            break
        if not isinstance(line, dict) or type(line.get("step")) is not int:
            raise RunError(f"{path}: a line without a step is not from a training: {text[:80]}")
        if line["step"] <= step:
            lines.append(line)
    return lines
