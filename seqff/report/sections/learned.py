"""Did it learn? Probe accuracies beside the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqff.probes.tables import OTHERS, SEEN, cell
from seqff.report.charts import Mark, legend, mark_chart
from seqff.report.html import Content, Html, absent, figure, join, table, tag
from seqff.report.material import Material, Probe
from seqff.report.sections.base import Section

Layer = Mapping[str, Any]
KINDS = {"trained": "trained", "untrained": "untrained", "end_to_end": "end-to-end twin", "supervised": "supervised"}


def learned(material: Material) -> Section:
    """Show each probe as a figure and a table, with the verdict of the first in front."""
    question = "Did it learn?"
    if not material.probes:
        why = (
            "No probe was given, so this page cannot say what the features are worth. Write features with seqff "
            "extract, probe them with seqff probe, and name the folder of the result: seqff report RUN PROBE."
        )
        body = join(figure("figure-probe", absent(why), "Probe accuracy by layer: absent."))
        return Section("learned", "learned", question, "Not measured.", body)
    parts = [_probe(material, probe, number) for number, probe in enumerate(material.probes)]
    return Section("learned", "learned", question, verdict(material.probes[0].content), join(*parts))


def verdict(result: Mapping[str, Any]) -> str:
    """Say in words whether training helped, where by more than chance, and which layer is best."""
    layers = result["layers"]
    best = max(layers, key=lambda layer: layer["accuracy"])
    reads = f"The best layer, {best['name']}, gets {cell(best, '.2f')} right; naming the most frequent class always, "
    reads += f"{result['majority']:.2f}."
    gains = {layer["name"]: layer["difference"]["interval"] for layer in layers if layer.get("difference")}
    if not gains:
        return f"{reads} There is no untrained net beside it, so this does not say what training added."
    better = [name for name, (low, _) in gains.items() if low > 0]
    worse = [name for name, (_, high) in gains.items() if high < 0]
    if better:
        words = f"Yes: {_all(better, gains)} more than untrained, by more than chance (95\u00a0% interval above 0)."
    else:
        words = (
            "Not shown: no layer knows more than its untrained self by more than chance (95\u00a0% interval above 0)."
        )
    words += f" Training made {', '.join(worse)} worse." if worse else ""
    return f"{words} {reads}"


def _all(names: Sequence[str], among: Mapping[str, Any]) -> str:
    verb = "knows" if len(names) == 1 else "know"
    return f"all {len(names)} layers {verb}" if len(names) == len(among) > 1 else f"{', '.join(names)} {verb}"


def _probe(material: Material, probe: Probe, number: int) -> Html:
    result = probe.content
    head = [tag("h3", "Probe ", tag("code", probe.name))] if len(material.probes) > 1 else []
    facts = (
        f"Linear probe, protocol {result['protocol']}: {len(result.get('classes', ()))} classes, "
        f"{result.get('split', 'split not noted')}; {SEEN.get(result.get('encoder_seen', 'unknown'), 'unknown')}. "
        "Bars are 95\u00a0% intervals by bootstrap over videos."
    )
    plot = join(
        mark_chart("accuracy", [layer["name"] for layer in result["layers"]], _marks(result), _levels(result)),
        _legend(result),
    )
    notes = [_other_encoder(material, result), *result.get("warnings", ())]
    listed = tag("ul", *(tag("li", note) for note in notes if note)) if any(notes) else None
    return join(
        *head, figure(f"figure-probe-{number + 1}" if number else "figure-probe", plot, facts), _table(result), listed
    )


def _marks(result: Mapping[str, Any]) -> list[Mark]:
    kinds = _kinds(result["layers"])
    marks = []
    for place, layer in enumerate(result["layers"]):
        for shift, kind in enumerate(kinds):
            entry = layer if kind == "trained" else layer.get(kind)
            if entry is not None:
                low, high = entry["interval"]
                x = place + 0.13 * (shift - (len(kinds) - 1) / 2)
                name = f"{layer['name']}, {KINDS[kind]}: {cell(entry)}"
                marks.append(Mark(x, entry["accuracy"], low, high, name, kind))
    return marks


def _levels(result: Mapping[str, Any]) -> list[tuple[float, str, str]]:
    pixels = result.get("pixels")
    levels = [] if pixels is None else [(pixels["accuracy"], f"pixels: {cell(pixels)}", "level pixels-level")]
    return [*levels, (result["majority"], f"majority: {result['majority']:.3f}", "level majority-level")]


def _legend(result: Mapping[str, Any]) -> Html:
    entries = [(KINDS[kind], f"dot {kind}", "") for kind in _kinds(result["layers"])]
    entries += [("pixels", "rule pixels-level", "")] if result.get("pixels") else []
    return legend([*entries, ("majority class", "rule majority-level", "")])


def _kinds(layers: Sequence[Layer]) -> list[str]:
    return ["trained", *(kind for kind in ("untrained", *OTHERS) if any(layer.get(kind) for layer in layers))]


def _table(result: Mapping[str, Any]) -> Html:
    kinds = _kinds(result["layers"])
    header: list[Content] = ["features", "width", "accuracy", *(KINDS[kind] for kind in kinds[1:]), "over untrained"]
    rows: list[list[Content]] = []
    for layer in result["layers"]:
        values = [cell(layer if kind == "trained" else layer.get(kind)) for kind in kinds]
        rows.append([layer["name"], layer.get("width"), *values, cell(layer.get("difference"), "+.3f")])
    blank = [None] * len(kinds)
    if result.get("pixels"):
        rows.append(["pixels", result["pixels"].get("width"), cell(result["pixels"]), *blank])
    rows.append(["majority class", None, f"{result['majority']:.3f}", *blank])
    return table(header, rows)


def _other_encoder(material: Material, result: Mapping[str, Any]) -> str:
    """Say so if the probe is of another encoder than the run's."""
    probed = result.get("encoder_hash")
    if isinstance(probed, list):
        return "Each fold was probed on an encoder trained without its test videos, not on this run's encoder."
    if material.encoder is None or probed in (None, material.encoder.hash()):
        return ""
    return f"Careful: this probe is of another encoder ({probed}) than that of this run ({material.encoder.hash()})."
