"""How to make it again: commands, settings, versions, seeds."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqff.config_io import dump_yaml
from seqff.errors import RunError
from seqff.files import read_json
from seqff.probes.evaluate import MARKER
from seqff.probes.metadata import GIVEN
from seqff.probes.results import PREDICTIONS
from seqff.report.data import Probe, ReportData
from seqff.report.html import Content, Section, data_uri, figure, join, table, tag
from seqff.version import __version__

MAX_BAD = 0.05
"""Share of unreadable videos at which commands stop by default."""


def reproduce(data: ReportData, options: Mapping[str, Any]) -> Section:
    """Show the commands that make the run, its probes and this page again, and what they depend on.

    Args:
        data: the run.
        options: of the page, by the names of the flags of `seqff report`; None leaves one out.
    """
    config = dict(data.config)
    trained_with = config.pop("seed", None)
    settings = dump_yaml(config)
    link = tag("a", "settings.yaml", href=data_uri("application/yaml", settings.encode()), download="settings.yaml")
    facts: list[list[Content]] = [
        ["run", str(data.run)],
        ["seed", str(trained_with)],
        ["seed of this page", str(options.get("seed") or 0)],
    ]
    for kind, encoder in (("encoder", data.encoder), ("untrained encoder", data.untrained)):
        facts.append([f"hash of the {kind}", "absent" if encoder is None else encoder.hash()])
    for probe in data.probes:
        seeded, labels = (probe.content.get(key, "not noted") for key in ("seed", "labels_hash"))
        words = f"seed {seeded}, protocol {probe.content['protocol']}, labels {labels}"
        facts.append([f"probe {probe.name}", words])
    versions: list[list[Content]] = [[package, str(version)] for package, version in data.environment.items()]
    lines = commands(data, trained_with, options)
    body = join(
        tag("pre", "\n".join(lines), id="command"),
        tag("p", "Save ", link, " first (it is in this page). Capitals stand for folders and files of your choice."),
        tag("h3", "Settings"),
        figure("figure-settings", tag("pre", settings, class_="long"), "All settings of the training, defaults too."),
        tag("h3", "Seeds and hashes"),
        table(["", "value"], facts),
        tag("h3", "Date, machine, versions"),
        table(["", "of the training"], versions) if versions else tag("p", "env.json is absent."),
        tag("p", f"This page was written by seqff {__version__}."),
    )
    answer = "The same videos, settings, seed, versions and threads give the same encoder on a CPU, bit for bit."
    return Section("reproduce", "again", "How to make it again", answer, body)


def commands(data: ReportData, seed: int | None, options: Mapping[str, Any]) -> list[str]:
    """Return the commands, quoted for a shell; folders to be written are in capitals."""
    manifest = data.manifest
    videos = "VIDEOS" if manifest is None else str(data.run / "manifest.json")
    bad = 0.0 if manifest is None or not len(manifest) else len(manifest.bad) / len(manifest)
    lenient = {"max_bad": math.ceil(100 * bad) / 100 if bad > MAX_BAD else None}
    lines = [command("train", videos, out="RUN", config="settings.yaml", seed=seed, **lenient)]
    if "init" in data.config:
        lines[0] += " --init ENCODER"
    names = []
    for number, probe in enumerate(data.probes):
        ending = f"-{number + 1}" if number else ""
        evaluation = _evaluation(probe)
        if evaluation is not None:
            lines.append(_evaluate(probe, evaluation, videos, ending))
            names.append(f"EVALUATION{ending}/{'/'.join(probe.folder.parts[-2:])}")
            continue
        extraction = probe.content.get("extraction", {})
        lines.append(command("extract", "RUN", videos, out=f"FEATURES{ending}", **extraction, **lenient))
        lines.append(command("probe", f"FEATURES{ending}", out=f"PROBE{ending}", **_asked(probe)))
        column = probe.content.get("arguments", {}).get("column")
        names.append(f"PROBE{ending}" + (f"/{shlex.quote(column)}" if column else ""))
    page = command("report", "RUN", out="page.html", **options)
    return [*lines, page.replace(" RUN ", f" RUN {' '.join(names)} ", 1) if names else page]


def command(name: str, *positional: str, **options: Any) -> str:
    """Return a command of seqff, quoted for a shell; an option that is None, 0 or empty is left out, but for a seed."""
    words = ["seqff", name, *positional]
    for key, value in options.items():
        flag = f"--{key.replace('_', '-')}"
        if value is True:
            words.append(flag)
        elif isinstance(value, (list, tuple)):
            words += [flag, *map(str, value)] if value else []
        elif value or (key == "seed" and value is not None):
            words += [flag, str(value)]
    return shlex.join(words)


def _asked(probe: Probe) -> dict[str, Any]:
    """Return the options of a probe; labels and groups that were given in Python are in its predictions.csv."""
    asked = dict(probe.content.get("arguments", {}))
    table_ = str(probe.folder / PREDICTIONS)
    asked = {key: table_ if value == GIVEN else value for key, value in asked.items()}
    column = asked.pop("column", None)
    return {"labels": "folder", "seed": probe.content.get("seed"), **asked, "columns": [column] if column else None}


def _evaluation(probe: Probe) -> dict[str, Any] | None:
    """Return the settings of the evaluation that a probe is of; None if it is of none."""
    file = Path(probe.folder).resolve().parent.parent / MARKER
    try:
        return read_json(file) if file.is_file() else None
    except RunError:
        return None


def _evaluate(probe: Probe, evaluation: Mapping[str, Any], videos: str, ending: str) -> str:
    seed = probe.folder.resolve().parent.name.removeprefix("seed")
    asked = {key: value for key, value in _asked(probe).items() if key != "columns"}
    twins = [name for name in ("end_to_end", "supervised") if name in probe.content["layers"][0]]
    rows = {key: evaluation.get(key) for key in ("per", "grid", "every")}
    return command(
        "evaluate",
        videos,
        out=f"EVALUATION{ending}",
        config="settings.yaml",
        seeds=[seed],
        baselines=twins,
        **rows,
        **asked,
    )
