"""The page: one HTML file that needs nothing from outside."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch

from seqff.devices import choose_device
from seqff.errors import RunError
from seqff.files import write_atomically
from seqff.report.html import Html, join, tag, text
from seqff.report.looking import Look, look, shown_size
from seqff.report.material import Material, read_material
from seqff.report.pictures import Shelf
from seqff.report.projection import Projection, check_projection
from seqff.report.sections import Section, again, cost, health, inputs, learned, map_of_clips, moves, sees
from seqff.video import scan

PathLike = str | os.PathLike[str]


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


def report(
    run: PathLike,
    probes: Sequence[PathLike] = (),
    *,
    out: PathLike,
    videos: PathLike | None = None,
    projection: Projection = "pca",
    most_videos: int = 200,
    follow: int = 3,
    seed: int = 0,
    device: str = "auto",
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
        overwrite: replace the page in `out`.
        progress: show a progress bar (on a terminal).

    Returns:
        The file and what is absent from it.

    Raises:
        RunError: the folder is no run, a probe's folder holds no result, or `out` exists.
        ValueError: another kind of file or projection, or a number below 0.
    """
    page = _check(Path(out), most_videos, follow, overwrite=overwrite)
    check_projection(projection)
    target = choose_device(device)
    material = read_material(Path(run), [Path(probe) for probe in probes])
    seen, why = _look(material, videos, most_videos, follow, seed, target, progress=progress)
    height, width = (1, 1) if material.encoder is None else shown_size(material.encoder.transform)
    shelf = Shelf(height, width)
    parts = [
        learned(material),
        health(material),
        sees(material, seen, shelf, why, seed),
        moves(seen, shelf, why),
        map_of_clips(seen, shelf, material.labels, why, projection=projection, seed=seed),
        inputs(material, seen),
        cost(material),
        again(material, seed),
    ]
    name = "/".join(material.run.resolve().parts[-2:])
    content = render(name, _summary(material), parts, shelf).encode(errors="backslashreplace")
    write_atomically(page, content)
    missing = [why] if why else []
    missing += [] if material.probes else ["no probe was given"]
    return Report(page, len(content), (*missing, *(f"{what}: {cause}" for what, cause in material.missing.items())))


def render(name: str, summary: str, parts: Sequence[Section], shelf: Shelf) -> str:
    """Return the page.

    The policy in its head forbids every address but data:, and every script but its own, whatever else it may hold.

    Args:
        name: of the run.
        summary: of it, in one line.
        parts: of the page, in order.
        shelf: of the frames they show.
    """
    style, script = _file("page.css"), _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{name} – seqff report"),
        tag("style", Html(style)),
    )
    links = [tag("a", part.short, href=f"#{part.id}") for part in parts]
    title = tag("h1", "Run ", tag("code", name))
    top = tag("header", title, tag("p", summary), tag("nav", *links, aria_label="contents"))
    main = tag("main", *(part.render() for part in parts))
    body = tag("body", shelf.definitions(), top, main, tag("script", Html(script)))
    return join(Html("<!doctype html>\n"), tag("html", head, body, lang="en"), text("\n"))


def _summary(material: Material) -> str:
    objective = material.config.get("objective")
    terms = objective.get("terms") if isinstance(objective, dict) else None
    total = f" of {steps}" if (steps := material.config.get("steps", "?")) else ""  # 0: for as long as a stream lasted
    facts = [
        f"{len(material.layers)} layers",
        f"objective {' + '.join(map(str, terms))}" if isinstance(terms, list) else "",
        f"trainer {material.config.get('trainer')}" if material.config.get("trainer") else "",
        f"{len(material.manifest.usable)} videos" if material.manifest else "",
        f"{material.metrics[-1]['step']}{total} steps" if material.metrics else "",
        f"seed {material.config.get('seed')}",
    ]
    return ", ".join(filter(None, facts))


def _file(name: str) -> str:
    return files("seqff.report").joinpath(name).read_text(encoding="utf-8")


def _check(page: Path, most_videos: int, follow: int, *, overwrite: bool) -> Path:
    """Return the file if the page may be written there."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{page}: the page is a file that ends in .html")
    if min(most_videos, follow) < 0:
        raise ValueError(f"most_videos and follow must be 0 or more, got {most_videos} and {follow}")
    if page.is_dir() or (page.exists() and not overwrite):
        raise RunError(f"{page} exists; overwrite replaces it, or choose another file")
    return page


def _look(
    material: Material,
    videos: PathLike | None,
    most: int,
    follow: int,
    seed: int,
    device: torch.device,
    *,
    progress: bool,
) -> tuple[Look | None, str]:
    """Look at videos; or say why that cannot be."""
    if material.encoder is None:
        return None, material.missing["encoder"]
    if most == 0:
        return None, "No videos were to be looked at (most_videos = 0)."
    manifest = material.manifest if videos is None else scan(videos, max_bad=1.0, progress=progress)
    if manifest is None:
        return None, f"It is not known which videos ({material.missing['manifest']}); --videos FOLDER says it."
    if not manifest.usable:
        return None, "No video of the manifest is usable."
    seen = look(manifest, material.encoder, most=most, long=follow, seed=seed, device=device, progress=progress)
    if seen.clips:
        return seen, ""
    video, cause = next(iter(seen.failed.items()))
    return None, (
        f"None of the {len(seen.failed)} videos chosen from {manifest.root} can be read any more; {video}: {cause}. "
        "If they have moved, seqff report --videos FOLDER says where they are."
    )
