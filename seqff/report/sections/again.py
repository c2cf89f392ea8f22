"""How to make it again: commands, settings, versions, seeds."""

from __future__ import annotations

import shlex

from seqff.config_io import dump_yaml
from seqff.report.html import Content, data_uri, figure, join, table, tag
from seqff.report.material import Material
from seqff.report.sections.base import Section
from seqff.version import __version__


def again(material: Material, seed: int) -> Section:
    """Show the command that trains the same run, and what it depends on."""
    config = dict(material.config)
    trained_with = config.pop("seed", None)
    settings = dump_yaml(config)
    root = "VIDEOS" if material.manifest is None else str(material.manifest.root)
    name = shlex.quote(root)
    lines = [
        f"seqff train {name} --out RUN --config settings.yaml"
        f"{'' if trained_with is None else f' --seed {trained_with}'}",
        f"seqff extract RUN {name} --out FEATURES",
        "seqff probe FEATURES --labels folder --out PROBE",
        f"seqff report RUN PROBE --out page.html{f' --seed {seed}' if seed else ''}",
    ]
    link = tag("a", "settings.yaml", href=data_uri("application/yaml", settings.encode()), download="settings.yaml")
    facts: list[list[Content]] = [
        ["run", str(material.run)],
        ["seed", str(trained_with)],
        ["seed of this page", str(seed)],
    ]
    for kind, encoder in (("encoder", material.encoder), ("untrained encoder", material.untrained)):
        facts.append([f"hash of the {kind}", "absent" if encoder is None else encoder.hash()])
    for probe in material.probes:
        seeded, labels = (probe.content.get(key, "not noted") for key in ("seed", "labels_hash"))
        words = f"seed {seeded}, protocol {probe.content['protocol']}, labels {labels}"
        facts.append([f"probe {probe.name}", words])
    versions: list[list[Content]] = [[package, str(version)] for package, version in material.environment.items()]
    body = join(
        tag("pre", "\n".join(lines), id="command"),
        tag(
            "p",
            "Save ",
            link,
            " first (it is in this page). Groups, label columns and splits of the probe are as its table says.",
        ),
        tag("h3", "Settings"),
        figure("figure-settings", tag("pre", settings, class_="long"), "All settings of the training, defaults too."),
        tag("h3", "Seeds and hashes"),
        table(["", "value"], facts),
        tag("h3", "Versions"),
        table(["package", "version"], versions) if versions else tag("p", "env.json is absent."),
        tag("p", f"This page was written by seqff {__version__}."),
    )
    answer = "The same videos, settings, seed, versions and threads give the same encoder on a CPU, bit for bit."
    return Section("again", "again", "How to make it again", answer, body)
