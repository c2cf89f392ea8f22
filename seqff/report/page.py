"""The page: one self-contained HTML file."""

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
    """A written page.

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
    """Write one HTML page about a run; it works offline from a file, in light and dark mode, and in print.

    Missing data (probes, deleted videos) is reported in its place on the page.

    Args:
        run: the folder that `train` wrote.
        probes: folders that `probe` wrote.
        out: the page, *.html.
        videos: location of the videos, if they have moved, or other videos to look at, as for `scan`. None uses the
            training videos.
        projection: layout of the map of clips: "pca", "tsne" or "umap" (needs umap-learn).
        most_videos: number of videos used for the pictures, sampled at random if there are more; 0 for none.
        follow: number of videos followed over their whole length.
        seed: seed of the sampling, and of t-SNE and UMAP.
        device: "auto", "cpu" or "cuda": device of the encoder.
        other_encoder: also show probes of another encoder, with a remark.
        overwrite: replace an existing page.
        progress: show a progress bar if stderr is a terminal.

    Returns:
        The file and what is missing in it.

    Raises:
        RunError: the folder is not a run, a probe's folder contains no result or one of another encoder, or `out`
            exists.
        ValueError: another extension, an unknown projection, or a negative number.
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
    wrong = mistakes(data, sample, images, why)  # last, because it fills the remaining space for frames
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

    Its content security policy forbids all addresses but data:, and all scripts but its own.

    Args:
        name: name of the run, or of the page's subject.
        summary: one or two lines about it.
        parts: sections of the page, in order.
        images: the frames they show.
        heading: main heading; None for "Run" and the name.
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
    total = f" of {steps}" if (steps := data.config.get("steps", "?")) else ""  # 0: a stream without a limit
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
    """Return activations of some videos and an empty text; or None and the reason."""
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
