"""How to reproduce the run: commands, settings, versions, seeds."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqff.config_io import dump_yaml
from seqff.files import manifest_in, read_json
from seqff.probes.evaluate import MARKER, TWINS
from seqff.probes.metadata import GIVEN
from seqff.probes.results import PREDICTIONS
from seqff.report.data import Probe, ReportData
from seqff.report.html import Content, Section, data_uri, figure, join, table, tag
from seqff.version import __version__
from seqff.video import Manifest

MAX_BAD = 0.05
"""Default share of unreadable videos above which commands fail."""


def reproduce(data: ReportData, options: Mapping[str, Any]) -> Section:
    """Show the commands that reproduce the run, its probes and this page, and what they depend on.

    Args:
        data: the run.
        options: options of the page, by the names of the flags of `seqff report`; None omits one.
    """
    config, home = dict(data.config), evaluation_of(data)
    trained_with = config.pop("seed", None)
    settings = dump_yaml(config if home is None else read_json(home / MARKER)["config"])
    link = tag("a", "settings.yaml", href=data_uri("application/yaml", settings.encode()), download="settings.yaml")
    rows: list[list[Content]] = [
        ["run", str(data.run)],
        ["seed", str(trained_with)],
        ["seed of this page", str(options.get("seed") or 0)],
    ]
    for kind, encoder in (("encoder", data.encoder), ("untrained encoder", data.untrained)):
        rows.append([f"hash of the {kind}", "absent" if encoder is None else encoder.hash()])
    for probe in data.probes:
        seeded, labels = (probe.content.get(key, "not noted") for key in ("seed", "labels_hash"))
        words = f"seed {seeded}, protocol {probe.content['protocol']}, labels {labels}"
        rows.append([f"probe {probe.name}", words])
    versions: list[list[Content]] = [
        [package, str(version)] for package, version in data.environment.items() if isinstance(version, str)
    ]
    lines = commands(data, trained_with, options)
    body = join(
        tag("pre", "\n".join(lines), id="command"),
        tag("p", "Save ", link, " first (it is in this page). Capitals stand for folders and files of your choice."),
        tag("h3", "Settings"),
        figure("figure-settings", tag("pre", settings, class_="long"), "All settings of the training, defaults too."),
        tag("h3", "Seeds and hashes"),
        table(["", "value"], rows),
        tag("h3", "Date, machine, versions"),
        table(["", "of the training"], versions) if versions else tag("p", "env.json is absent."),
        tag("p", f"This page was written by seqff {__version__}."),
    )
    answer = "The same videos, settings, seed, versions and threads give the same encoder on a CPU, bit for bit."
    return Section("reproduce", "again", "How to make it again", answer, body)


def commands(data: ReportData, seed: int | None, options: Mapping[str, Any]) -> list[str]:
    """Return the commands, quoted for a shell; output folders are in capitals."""
    home = evaluation_of(data)
    videos = "VIDEOS" if data.manifest is None else str(manifest_in(data.run))
    lenient = _lenient(data.manifest)
    lines, run, names = [], "RUN", []
    if home is not None:
        run = f"EVALUATION/{data.run.resolve().relative_to(home)}"
        lines.append(_evaluate(data, home))
    else:
        lines.append(command("train", videos, out="RUN", config="settings.yaml", seed=seed, **lenient))
        lines[0] += " --init ENCODER" if "init" in data.config else ""
    for number, probe in enumerate(data.probes):
        if home is not None and probe.folder.resolve().is_relative_to(home):
            names.append(f"EVALUATION/{probe.folder.resolve().relative_to(home)}")
            continue
        ending = f"-{number + 1}" if number else ""
        lines.append(_extract(probe, run, videos, out=f"FEATURES{ending}", **lenient))
        lines.append(command("probe", f"FEATURES{ending}", out=f"PROBE{ending}", **_asked(probe)))
        column = probe.content.get("arguments", {}).get("column")
        names.append(f"PROBE{ending}/{column}" if column else f"PROBE{ending}")
    return [*lines, command("report", run, *names, out="page.html", **options)]


def evaluation_of(data: ReportData) -> Path | None:
    """Return the folder of the evaluation of which the run is a fold; None if it is not."""
    places = [folder for folder in data.run.resolve().parents[:4] if (folder / MARKER).is_file()]
    return places[0] if places else None


def command(name: str, *positional: str, **options: Any) -> str:
    """Return a seqff command, quoted for a shell; options that are None, 0 or empty are omitted, except a seed."""
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


def _extract(probe: Probe, run: str, videos: str, **options: Any) -> str:
    """Return the command that extracts the features of a probe again, from the run or the network it names."""
    extraction = dict(probe.content.get("extraction", {}))
    network = extraction.pop("network", None) or {}
    named = {f"encoder.{key}": value for key, value in network.items()}
    return command("extract", *([] if network else [run]), videos, **named, **extraction, **options)


def _asked(probe: Probe) -> dict[str, Any]:
    """Return the options of a probe; labels and groups given in Python come from its predictions.csv."""
    asked = dict(probe.content.get("arguments", {}))
    table_ = str(probe.folder / PREDICTIONS)
    asked = {key: table_ if value == GIVEN else value for key, value in asked.items()}
    column = asked.pop("column", None)
    return {"labels": "folder", "seed": probe.content.get("seed"), **asked, "columns": [column] if column else None}


def _evaluate(data: ReportData, home: Path) -> str:
    """Return the command that repeats an evaluation, with the seeds whose results the page shows."""
    probes = [probe for probe in data.probes if probe.folder.resolve().is_relative_to(home)]
    settings, asked, twins = read_json(home / MARKER), dict[str, Any](), list[str]()
    if probes:
        asked = {key: value for key, value in _asked(probes[0]).items() if key != "columns"}
        twins = [name for name in TWINS if name in probes[0].content["layers"][0]]
    seeds = [probe.folder.resolve().parent.name.removeprefix("seed") for probe in probes]
    rows = {key: settings.get(key) for key in ("per", "grid", "every")}
    videos = manifest_in(home)
    lenient = _lenient(Manifest.load(videos, older=True) if videos.is_file() else None)
    more = {"seeds": seeds, "baselines": twins, **rows, **asked, **lenient}
    return command("evaluate", str(videos), out="EVALUATION", config="settings.yaml", **more)


def _lenient(manifest: Manifest | None) -> dict[str, Any]:
    """Return the option that keeps a command from failing because of bad videos, if there are that many."""
    bad = 0.0 if manifest is None or not len(manifest) else len(manifest.bad) / len(manifest)
    return {"max_bad": math.ceil(100 * bad) / 100} if bad > MAX_BAD else {}
