"""The input: the videos of the manifest, bad ones first."""

from __future__ import annotations

from collections import Counter

from seqff.report.activations import ActivationSample
from seqff.report.data import ReportData
from seqff.report.html import Content, Html, Section, absent_figure, figure, join, table, tag
from seqff.terminal import counted
from seqff.video import VideoEntry
from seqff.video.rows import chosen, column

MOST_ROWS = 500
HEADER = ("video", "state", "remark", "frames", "size", "frames/s", "codec")


def inputs(data: ReportData, sample: ActivationSample | None) -> Section:
    """Show the manifest as tables: problems with their causes, and all videos."""
    question = "What went in?"
    manifest = data.manifest
    if manifest is None:
        why = data.missing["manifest"]
        body = absent_figure("figure-videos", why, "The videos trained on")
        answer = "Frames that came once." if why.startswith("trained on a stream") else "Not known."
        return Section("inputs", "input", question, answer, body)
    status = column(manifest.entries, "status")
    unsound = chosen(manifest.entries, status != b"ok")
    states = ", ".join(f"{count} {name.decode()}" for name, count in Counter(status.tolist()).most_common())
    seconds, frames = manifest.totals["seconds"], manifest.totals["frames"]
    answer = (
        f"{counted(len(manifest), 'video')} ({states}); {len(manifest.usable)} of them usable, with {frames} frames"
        f"{f', {_duration(seconds)}' if seconds else ''}."
    )
    bad = (
        table(HEADER, [_row(entry) for entry in unsound[:MOST_ROWS]], id_="table-bad")
        if unsound
        else tag("p", "Every video is sound.", id="table-bad")
    )
    every = tag(
        "details",
        tag("summary", f"All {len(manifest)} videos"),
        table(HEADER, [_row(entry) for entry in manifest.entries[:MOST_ROWS]]),
        _more(len(manifest)),
    )
    caption = join("Folder ", tag("code", str(manifest.root)), ", manifest ", tag("code", manifest.hash), ".")
    parts = [tag("h3", "Bad files and reasons"), bad, _more(len(unsound)), every]
    return Section(
        "inputs", "input", question, answer, join(figure("figure-videos", join(*parts), caption), _unread(sample))
    )


def _row(entry: VideoEntry) -> list[Content]:
    copy = f"same as {entry.duplicate_of}" if entry.duplicate_of else ""
    remark = "; ".join(filter(None, (entry.cause, copy)))
    size = f"{entry.width} × {entry.height}" if entry.width else None
    rate = f"{entry.fps:.4g}{' (varies)' if entry.variable_rate else ''}" if entry.fps else None
    return [entry.path, entry.status, remark or None, entry.frames, size, rate, entry.codec or None]


def _more(count: int) -> Html | None:
    if count <= MOST_ROWS:
        return None
    return tag("p", f"... and {count - MOST_ROWS} more; all are in the manifest of the run.")


def _unread(sample: ActivationSample | None) -> Html | None:
    """Name the videos that could not be read for this page."""
    if sample is None or not sample.failed:
        return None
    rows = [[video, why] for video, why in list(sample.failed.items())[:MOST_ROWS]]
    head = tag("h3", "Could not be read for this page")
    return join(head, table(["video", "reason"], rows), _more(len(sample.failed)))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
