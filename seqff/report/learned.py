"""What the run learned: probe accuracies compared with baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqff.probes.tables import OTHERS, SEEN, cell
from seqff.report.charts import Mark, legend, mark_chart
from seqff.report.data import Probe, ReportData, is_of_another_encoder
from seqff.report.html import Content, Html, Section, absent_figure, figure, join, table, tag

Layer = Mapping[str, Any]
KINDS = {"trained": "trained", "untrained": "untrained", "end_to_end": "end-to-end twin", "supervised": "supervised"}


def learned(data: ReportData) -> Section:
    """Show each probe as a figure and a table, after the verdict on the first."""
    question = "Did it learn?"
    if not data.probes:
        why = (
            "No probe was given, so this page cannot say what the features are worth. Write features with seqff "
            "extract, probe them with seqff probe, and name the folder of the result: seqff report RUN PROBE."
        )
        body = absent_figure("figure-probe", why, "Probe accuracy by layer")
        return Section("learned", "learned", question, "Not measured.", body)
    parts = [_probe(data, probe, number) for number, probe in enumerate(data.probes)]
    return Section("learned", "learned", question, verdict(data.probes[0].content), join(*parts))


def verdict(result: Mapping[str, Any]) -> str:
    """Describe whether training helped, where by more than chance, and which layer is best."""
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


def _probe(data: ReportData, probe: Probe, number: int) -> Html:
    result = probe.content
    head = [tag("h3", "Probe ", tag("code", probe.name))] if len(data.probes) > 1 else []
    caption = (
        f"Linear probe, protocol {result['protocol']}: {len(result.get('classes', ()))} classes, "
        f"{result.get('split', 'split not noted')}; {SEEN.get(result.get('encoder_seen', 'unknown'), 'unknown')}. "
        "Bars are 95\u00a0% intervals by bootstrap over videos."
    )
    plot = join(
        mark_chart("accuracy", [layer["name"] for layer in result["layers"]], _marks(result), _levels(result)),
        _legend(result),
    )
    notes = [_other_encoder(data, probe), *result.get("warnings", ())]
    listed = tag("ul", *(tag("li", note) for note in notes if note)) if any(notes) else None
    shown = figure(f"figure-probe-{number + 1}" if number else "figure-probe", plot, caption)
    return join(*head, tag("div", shown, tag("div", _table(result), listed), class_="halves"))


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
    header: list[Content] = ["features", "accuracy", "over untrained", *(KINDS[kind] for kind in kinds[1:]), "width"]
    rows: list[list[Content]] = []
    for layer in result["layers"]:
        others = [_interval(layer.get(kind)) for kind in kinds[1:]]
        difference = _interval(layer.get("difference"), "+.3f")
        rows.append([layer["name"], _interval(layer), difference, *others, layer.get("width")])
    blank = [None] * len(kinds)
    if result.get("pixels"):
        rows.append(["pixels", _interval(result["pixels"]), *blank, result["pixels"].get("width")])
    rows.append(["majority class", f"{result['majority']:.3f}", *blank, None])
    return table(header, rows)


def _interval(value: Mapping[str, Any] | None, form: str = ".3f") -> Html | None:
    """Show an accuracy with its interval, which wraps to its own line on narrow screens."""
    if value is None:
        return None
    accuracy, interval = cell(value, form).split(" ", 1)
    return join(accuracy, " ", tag("span", interval, class_="interval"))


def _other_encoder(data: ReportData, probe: Probe) -> str:
    """Return a remark if the probe is of another encoder than the run's, or of the folds of an evaluation."""
    probed = probe.content.get("encoder_hash")
    if is_of_another_encoder(data, probe):
        network = probe.content.get("extraction", {}).get("network") or {}
        named = f"{network.get('name')}, {network.get('weights') or 'untrained'}" if network else probed
        return f"Careful: this probe is of another encoder ({named}) than that of this run."
    if isinstance(probed, list):
        return "Each fold was probed on an encoder trained without its test videos; this run is one of the folds."
    return ""
