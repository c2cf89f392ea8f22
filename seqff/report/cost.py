"""Cost of the run: time, speed, size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqff.report.data import ReportData
from seqff.report.html import Content, Section, absent, figure, join, table, tag


def cost(data: ReportData) -> Section:
    """Show the seconds and frames per second of the training, the size of the net, and the seconds of the probes."""
    seconds, frames, steps = spent(data.metrics)
    answer = (
        "Not noted."
        if not steps
        else (
            f"{_time(seconds)} for {steps} steps: {frames / max(seconds, 1e-9):.0f} frames a second, decoding included."
        )
    )
    rows: list[list[Content]] = [["training", _time(seconds) if steps else "not noted"]]
    rows += [
        [f"probe {probe.name}", _time(probe.content["seconds"])]
        for probe in data.probes
        if isinstance(probe.content.get("seconds"), (int, float))
    ]
    threads = data.environment.get("threads")
    rows.append(["threads", threads or "not noted"])
    rows.append(["memory", "not measured in a training; benchmarks/memory.py does, beside the end-to-end twin"])
    rows.append(["against the twin", "not measured in a training; benchmarks/speed.py trains both ways in turn"])
    timing = figure("figure-cost", table(["", "cost"], rows), "Time is that of the steps, over all resumptions.")
    return Section("cost", "cost", "What did it cost?", answer, join(timing, _weights(data)))


def spent(metrics: Sequence[Mapping[str, Any]]) -> tuple[float, float, int]:
    """Return the seconds, frames and steps of a training from its log; the clock restarts when it is resumed."""
    seconds = before = frames = 0.0
    step = 0
    for line in metrics:
        now = float(line.get("seconds", 0))
        seconds += now - before if now >= before else now
        frames += float(line.get("frames", 0)) * (line["step"] - step)
        before, step = now, line["step"]
    return seconds, frames, step


def _weights(data: ReportData) -> Content:
    encoder = data.encoder
    if encoder is None:
        return absent(data.missing.get("encoder", "The encoder is absent."))
    rows: list[list[Content]] = []
    for info, layer in zip(encoder.feature_info, encoder.layers, strict=True):
        weights = sum(parameter.numel() for parameter in layer.parameters())
        rows.append([info.name, info.channels, f"{info.reduction} px", weights])
    rows.append(["all", None, None, sum(parameter.numel() for parameter in encoder.parameters())])
    return join(tag("h3", "The net"), table(["layer", "channels", "one cell spans", "weights"], rows))


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
