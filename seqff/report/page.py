"""The page: one HTML file that needs nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from seqff.devices import choose_device
from seqff.display import framed
from seqff.files import check_file, write_atomically
from seqff.report.activations import ActivationSample, sample_activations, shown_size
from seqff.report.clip_map import map_of_clips
from seqff.report.cost import cost
from seqff.report.data import ReportData, check_encoders, read_report_data
from seqff.report.dynamics import dynamics
from seqff.report.health import health
from seqff.report.html import Content, Html, Section, join, tag, text
from seqff.report.images import ImageStore
from seqff.report.inputs import inputs
from seqff.report.learned import learned
from seqff.report.mistakes import choose_wrong, mistakes
from seqff.report.projection import Projection, check_projection
from seqff.report.reproduce import reproduce
from seqff.report.visualization import visualization
from seqff.terminal import counted
from seqff.video import scan

PathLike = str | os.PathLike[str]
PAGES = (".html", ".htm")
MOST_VIDEOS, FOLLOW = 200, 3


@dataclass(frozen=True)
class Report:
    """A page that was written.

    Args:
        path: the file.
        bytes: its size.
        absent: what it could not show, and why.
    """

    path: Path
    bytes: int
    absent: tuple[str, ...]

    def _repr_html_(self) -> str:
        """The page, for notebooks."""
        return framed(self.path)


def report(
    run: PathLike,
    probes: Sequence[PathLike] = (),
    *,
    out: PathLike,
    videos: PathLike | None = None,
    projection: Projection = "pca",
    most_videos: int = MOST_VIDEOS,
    follow: int = FOLLOW,
    seed: int = 0,
    device: str = "auto",
    other_encoder: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Report:
    """Write one HTML page about a run; it works from a file, offline, in light and dark, and on paper.

    What is absent (probes, videos that have gone) is said in its place on the page.

    Args:
        run: the folder that `train` wrote.
        probes: folders that `probe` wrote.
        out: the page, *.html.
        videos: where the videos lie now, if they have moved, or other videos to look at: what `scan` takes. None takes
            them from where they were trained on.
        projection: how the map of clips is laid out: "pca", "tsne" or "umap" (needs umap-learn).
        most_videos: videos that are looked at for the pictures, drawn by the seed where there are more; 0 for none.
        follow: videos that are followed over their whole length.
        seed: of the draw, and of t-SNE and UMAP.
        device: "auto", "cpu" or "cuda": where the encoder runs.
        other_encoder: show probes of another encoder than the run's, too, and say so on the page.
        overwrite: replace the page in `out`.
        progress: show a progress bar (on a terminal).

    Returns:
        The file and what is absent from it.

    Raises:
        RunError: the folder is no run, a probe's folder holds no result or one of another encoder, or `out` exists.
        ValueError: another kind of file or projection, or a number below 0.
    """
    page = check_file(Path(out), PAGES, overwrite=overwrite)
    if min(most_videos, follow) < 0:
        raise ValueError(f"most_videos and follow must be 0 or more, got {most_videos} and {follow}")
    check_projection(projection)
    target = choose_device(device)
    data = read_report_data(Path(run), [Path(probe) for probe in probes])
    if not other_encoder:
        check_encoders(data)
    sample, why = _sample(data, videos, most_videos, follow, seed, target, progress=progress)
    height, width = (1, 1) if data.encoder is None else shown_size(data.encoder.transform)
    images = ImageStore(height, width)
    options = {
        "videos": videos,
        "projection": projection if projection != "pca" else None,
        "most_videos": most_videos if most_videos != MOST_VIDEOS else None,
        "follow": follow if follow != FOLLOW else None,
        "seed": seed or None,
        "other_encoder": other_encoder or None,
    }
    seen, motion = visualization(data, sample, images, why, seed), dynamics(sample, images, why)
    wrong = mistakes(data, sample, images, why)  # takes the room for frames that the others leave
    parts = [
        learned(data),
        wrong,
        health(data),
        seen,
        motion,
        map_of_clips(sample, images, data.labels, why, projection=projection, seed=seed),
        inputs(data, sample),
        cost(data),
        reproduce(data, options),
    ]
    name = "/".join(data.run.resolve().parts[-2:])
    content = render(name, _summary(data), parts, images).encode(errors="backslashreplace")
    write_atomically(page, content)
    missing = [why] if why else []
    missing += [] if data.probes else ["no probe was given"]
    return Report(page, len(content), (*missing, *(f"{what}: {cause}" for what, cause in data.missing.items())))


def render(
    name: str, summary: Sequence[str], parts: Sequence[Section], images: ImageStore, *, heading: Content = None
) -> str:
    """Return the page.

    The policy in its head forbids every address but data:, and every script but its own, whatever else it may hold.

    Args:
        name: of the run, or of what the page is about.
        summary: of it, in a line or two.
        parts: of the page, in order.
        images: of the frames they show.
        heading: above all; None for "Run" and the name.
    """
    style, script = (
        files("seqff.report").joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{name} – seqff report" if heading is None else f"{name} – seqff"),
        tag("style", Html(style)),
    )
    links = [tag("a", part.short, href=f"#{part.id}") for part in parts]
    title = tag("h1", *(("Run ", tag("code", name)) if heading is None else (heading,)))
    top = tag("header", title, *(tag("p", line) for line in summary), tag("nav", *links, aria_label="contents"))
    main = tag("main", *(part.render() for part in parts))
    tip = tag("div", id="tip", role="status", hidden="")
    body = tag("body", images.definitions(), top, main, tip, tag("script", Html(script)))
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"), text("\n"))


def _summary(data: ReportData) -> list[str]:
    objective = data.config.get("objective")
    terms = objective.get("terms") if isinstance(objective, dict) else None
    total = f" of {steps}" if (steps := data.config.get("steps", "?")) else ""  # 0: for as long as a stream lasted
    parts = [
        f"{len(data.layers)} layers",
        f"objective {' + '.join(map(str, terms))}" if isinstance(terms, list) else "",
        f"trainer {data.config.get('trainer')}" if data.config.get("trainer") else "",
        counted(len(data.manifest.usable), "video") if data.manifest else "",
        f"{data.metrics[-1]['step']}{total} steps" if data.metrics else "",
        f"seed {data.config.get('seed')}",
    ]
    known = data.environment
    made = [
        f"trained {known['date']}" if known.get("date") else "",
        str(known.get("machine") or known.get("platform") or ""),
        *(f"{name} {known[name]}" for name in ("seqff", "torch", "python") if known.get(name)),
    ]
    return [", ".join(filter(None, line)) for line in (parts, made) if any(line)]


def _sample(
    data: ReportData,
    videos: PathLike | None,
    most: int,
    follow: int,
    seed: int,
    device: torch.device,
    *,
    progress: bool,
) -> tuple[ActivationSample | None, str]:
    """Return what the layers make of some videos, and an empty text; or None, and why."""
    if data.encoder is None:
        return None, data.missing["encoder"]
    if most == 0:
        return None, "No videos were to be looked at (most_videos = 0)."
    manifest = data.manifest if videos is None else scan(videos, max_bad=1.0, progress=progress)
    if manifest is None:
        return None, f"It is not known which videos ({data.missing['manifest']}); --videos FOLDER says it."
    if not manifest.usable:
        return None, "No video of the manifest is usable."
    probe = next((probe for probe in data.probes if probe.best_layer in probe.arrays), None)
    films = [] if probe is None else [one.video for one in choose_wrong(probe)]
    wanted: dict[str, Any] = {"most": most, "long": follow, "films": films, "seed": seed}
    sample = sample_activations(manifest, data.encoder, data.untrained, **wanted, device=device, progress=progress)
    if sample.clips:
        return sample, ""
    video, cause = next(iter(sample.failed.items()))
    return None, (
        f"None of the {len(sample.failed)} videos chosen from {manifest.root} can be read any more; {video}: {cause}. "
        "If they have moved, seqff report --videos FOLDER says where they are."
    )
