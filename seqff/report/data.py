"""Read a run and its probes from disk once for the whole page; missing data is recorded, not an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqff.config_io import read_run_config
from seqff.errors import ManifestError, RunError
from seqff.files import manifest_in, read_csv, read_json
from seqff.metrics import METRICS, read_metrics
from seqff.nets import Encoder, load_encoder
from seqff.online.statistics import describe, read_statistics
from seqff.probes.comparison import tell_apart
from seqff.probes.results import PREDICTIONS, RESULTS, read_result
from seqff.training.run_folder import ENVIRONMENT, STREAM
from seqff.video import Manifest

COLUMNS = ("video", "label", "group", "fold")
"""First columns of predictions.csv, before the predictions of each array."""


@dataclass(frozen=True)
class Probe:
    """A result of `seqff probe`.

    Args:
        folder: folder of the result.
        name: the part of its path that distinguishes it from the others.
        content: content of results.json.
        answers: rows of predictions.csv: video, label, group, fold, and the class predicted from each array; empty if
            there is no such file.
    """

    folder: Path
    name: str
    content: Mapping[str, Any]
    answers: Sequence[Mapping[str, str]] = ()

    @property
    def labels(self) -> dict[str, str]:
        """Label of each video."""
        return {row["video"]: row["label"] for row in self.answers}

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays whose predictions are known."""
        return [name for name in (self.answers[0] if self.answers else ()) if name not in COLUMNS]

    @property
    def best_layer(self) -> str:
        """Name of the layer with the highest accuracy."""
        return str(max(self.content["layers"], key=lambda layer: layer["accuracy"])["name"])


@dataclass(frozen=True)
class ReportData:
    """The data of a run.

    Args:
        run: the folder.
        config: content of config.yaml.
        environment: versions that the numbers depend on; empty if env.json is missing.
        metrics: lines of metrics.jsonl.
        manifest: the training videos; None if it cannot be read.
        encoder: the trained net; None if it cannot be loaded.
        untrained: the untrained net; None if it cannot be loaded.
        probes: results, in the order given.
        missing: for each field that is None or empty, why.
    """

    run: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    manifest: Manifest | None
    encoder: Encoder | None
    untrained: Encoder | None
    probes: Sequence[Probe]
    missing: Mapping[str, str]

    @property
    def layers(self) -> list[str]:
        """Names of the layers, bottom to top, from the encoder or else from the metrics."""
        if self.encoder is not None:
            return [info.name for info in self.encoder.feature_info]
        return list(dict.fromkeys(key.split("/")[0] for line in self.metrics for key in line if "/" in key))

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the videos, from the first probe that has them."""
        return next((probe.labels for probe in self.probes if probe.labels), {})

    def series(self, layer: str, name: str) -> list[tuple[float, float]]:
        """Return the logged values of a layer's metric, as (step, value)."""
        key = f"{layer}/{name}"
        return [(float(line["step"]), float(line[key])) for line in self.metrics if line.get(key) is not None]


def read_report_data(run: Path, probes: Sequence[Path]) -> ReportData:
    """Read a run folder and results.

    Raises:
        RunError: the folder is not a run, or a folder given as a result contains none.
    """
    config = read_run_config(run)
    missing: dict[str, str] = {}
    encoders: dict[str, Encoder | None] = {"encoder": None, "untrained": None}
    for name in encoders:
        try:
            encoders[name] = load_encoder(run, untrained=name == "untrained")
        except RunError as error:
            missing[name] = str(error)
    manifest = None
    try:
        manifest = Manifest.load(manifest_in(run), older=True)
    except (OSError, ManifestError) as error:
        stream = describe(read_statistics(run)) if (run / STREAM).is_file() else []
        missing["manifest"] = f"trained on a stream: {'; '.join(stream)}" if stream else str(error)
    environment = read_json(run / ENVIRONMENT) if (run / ENVIRONMENT).is_file() else {}
    return ReportData(
        run,
        config,
        environment,
        read_metrics(run / METRICS),
        manifest,
        **encoders,
        probes=read_probes(probes),
        missing=missing,
    )


def read_probes(folders: Sequence[Path]) -> list[Probe]:
    """Read results; a folder of result folders (for label columns or seeds) stands for all of them.

    Raises:
        RunError: there is no result, or an invalid one.
    """
    found: list[Path] = []
    for folder in folders:
        inside = [file.parent for kind in ("*", "seed*/probe") for file in folder.glob(f"{kind}/{RESULTS}")]
        found += [folder] if (folder / RESULTS).is_file() or not inside else sorted(inside)
    names = tell_apart(found) if len(found) > 1 else [folder.name for folder in found]
    return [_read_probe(folder, name) for folder, name in zip(found, names, strict=True)]


def _read_probe(folder: Path, name: str) -> Probe:
    content = read_result(folder)
    rows = read_csv(folder / PREDICTIONS) if (folder / PREDICTIONS).is_file() else []
    if rows and not set(COLUMNS) <= set(rows[0]):
        raise RunError(f"{folder / PREDICTIONS} has no columns {', '.join(COLUMNS)}: it is not of `seqff probe`")
    return Probe(folder, name, content, rows)


def check_encoders(data: ReportData) -> None:
    """Check that each probe is of the run's encoder, or of an evaluation of which the run is a fold.

    Raises:
        RunError: a probe is of another encoder.
    """
    for probe in data.probes:
        if is_of_another_encoder(data, probe):
            raise RunError(
                f"{probe.folder}: this probe is of another encoder ({probe.content['encoder_hash']}) than that of "
                f"{data.run} ({data.encoder.hash() if data.encoder else 'none'}); give the run it was made from, or "
                "other_encoder (--other-encoder) to show it all the same"
            )


def is_of_another_encoder(data: ReportData, probe: Probe) -> bool:
    """Whether a probe's recorded encoder is not the run's; for an evaluation, none of its folds' encoders."""
    probed = probe.content.get("encoder_hash")
    if data.encoder is None or probed is None:
        return False
    return data.encoder.hash() not in (probed if isinstance(probed, list) else [probed])
