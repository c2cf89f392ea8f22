"""Temporal dynamics of features: paths of clips through feature space, and self-similarity of their moments."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqff.report.activations import LONG_FRAMES, ActivationSample, Clip
from seqff.report.html import Content, Html, Section, absent_figure, figure, join, table, tag
from seqff.report.images import ImageStore, heat, png, strip
from seqff.report.projection import fit, principal_axes

SIDE, EDGE = 170.0, 9.0
PLAYED, SHOWN = 22, 8
"""Number of frames of a followed video that are played, and that are shown beside."""


def dynamics(sample: ActivationSample | None, images: ImageStore, why: str) -> Section:
    """Follow a few videos over their whole length in pixels and every layer."""
    question = "How do features move in time?"
    followed = [] if sample is None else [clip for clip in sample.long if len(clip.frames) > 2]
    if sample is None or not followed:
        why = why or "No video that was looked at has three frames."
        body = join(
            absent_figure("figure-trajectory", why, "A clip's way through feature space"),
            absent_figure("figure-similarity", why, "Self-similarity"),
        )
        return Section("dynamics", "motion", question, "Not looked at.", body)
    # Pixels and the layers; below them the untrained layers, if known.
    untrained = [f"untrained/{layer}" for layer in sample.layers if f"untrained/{layer}" in followed[0].pooled]
    rows = [["pixels", *sample.layers], *([["", *untrained]] if untrained else [])]
    ways: list[Html] = []
    alike: list[Html] = []
    for clip in followed:
        head = tag("h4", clip.video)
        ways.append(join(head, _film(clip, images), *(_panels(clip, row, _way) for row in rows)))
        alike.append(join(head, *(_panels(clip, row, _alike) for row in rows)))
    way = (
        "The way of a whole video through feature space, on the two axes on which it goes farthest, from its first "
        "frame (light) to its last (dark); below, through the same layers untrained. Features that follow things and "
        "not pixels move smoothly; motion that repeats comes back to where it was."
    )
    matrix = (
        "Self-similarity: how alike every two moments of the same video are, time going right and down; bright is "
        "alike, each matrix from its own farthest pair to 0. Stripes beside the diagonal are motion that repeats, "
        "blocks are phases."
    )
    ways.insert(0, tag("h3", "The way through feature space"))
    alike.insert(0, tag("h3", "Self-similarity"))
    answer = slowness_words(mean_shares(followed), sample.layers, len(followed))
    figures = figure("figure-trajectory", join(*ways), way), figure("figure-similarity", join(*alike), matrix)
    body = join(tag("h3", "How slow each layer is"), _slowness(followed, sample.layers), *figures)
    return Section("dynamics", "motion", question, answer, body)


def step_share(features: NDArray[np.float32]) -> float:
    """Return the mean squared step between consecutive frames, relative to that between any two frames of the video.

    Args:
        features: (T, D), T >= 2.

    Returns:
        Near 0 for slowly changing features, 1 for features without temporal order; 0 if nothing changes.
    """
    steps = np.square(np.diff(features.astype(np.float64), axis=0)).sum(axis=1).mean()
    apart = 2 * features.astype(np.float64).var(axis=0).sum() * len(features) / (len(features) - 1)
    return float(steps / apart) if apart > 0 else 0.0


def mean_shares(clips: Sequence[Clip]) -> dict[str, int]:
    """Return `step_share` of pixels and every layer (and `untrained/LAYER`), in whole percent, averaged over clips."""
    return {
        name: round(100 * float(np.mean([step_share(clip.pooled[name]) for clip in clips]))) for name in clips[0].pooled
    }


def slowness_words(shares: Mapping[str, int], layers: Sequence[str], videos: int) -> str:
    """Describe which layers are slower than pixels and than untrained layers, consistent with the rounded percentages.

    Args:
        shares: see `mean_shares`.
        layers: their names, bottom to top.
        videos: number of videos followed.
    """
    slower = [name for name in layers if shares[name] < shares["pixels"]]
    slowest = min(layers, key=lambda name: shares[name])
    words = f"In the {videos} video{'s' if videos > 1 else ''} followed, "
    if slower:
        words += f"{', '.join(slower)} {'is' if len(slower) == 1 else 'are'} slower than pixels: {slowest} goes "
        words += f"{shares[slowest]}\u00a0% of the squared distance between two frames taken at random in a step "
        words += f"from one frame to the next, pixels {shares['pixels']}\u00a0%."
    else:
        words += "no layer is slower than pixels."
    if not all(f"untrained/{name}" in shares for name in layers):
        return words
    calmer = [name for name in layers if shares[name] < shares[f"untrained/{name}"]]
    return f"{words} Training made {', '.join(calmer) or 'no layer'} slower."


def _slowness(clips: Sequence[Clip], layers: Sequence[str]) -> Html:
    mean, several = mean_shares(clips), len(clips) > 1
    beside = f"untrained/{layers[0]}" in mean
    header = ["features", "trained", *(["untrained"] if beside else []), *(clip.video for clip in clips if several)]
    rows: list[list[Content]] = []
    for name in ["pixels", *layers]:
        other = f"untrained/{name}" if f"untrained/{name}" in mean else ""
        row: list[Content] = [name, f"{mean[name]}\u00a0%"]
        row += [f"{mean[other]}\u00a0%" if other else None] if beside else []
        for clip in clips if several else ():
            shares = [step_share(clip.pooled[space]) for space in filter(None, (name, other))]
            row.append(" / ".join(f"{100 * share:.0f}\u00a0%" for share in shares))
        rows.append(row)
    note = (
        "Mean squared step to the next frame over the mean squared distance of any two frames of the video: 0 does not "
        "move, 100\u00a0% knows nothing of the order. "
        f"At most {LONG_FRAMES} frames are taken of a video, equally far apart."
    )
    return join(tag("p", note), table(header, rows))


def _panels(clip: Clip, spaces: Sequence[str], draw: Callable[[Clip, str], Html]) -> Html:
    """Draw a clip in several spaces side by side; a missing name leaves its position empty."""
    return tag("div", *(draw(clip, name) if name else tag("div", class_="panel") for name in spaces), class_="small")


def _film(clip: Clip, images: ImageStore) -> Html:
    cells, numbers = [], []
    for place, moment in enumerate(_spread(len(clip.frames), PLAYED)):
        frame = int(clip.frames[moment])
        numbers.append(images.add(clip.video, frame, clip.pictures[moment]))
        if place in _spread(min(PLAYED, len(clip.frames)), SHOWN):
            cells.append((images.show(numbers[-1], name=f"{clip.video}, frame {frame}"), str(frame)))
    return tag("div", images.player(numbers, name=clip.video), strip(cells), class_="film")


def _spread(among: int, count: int) -> list[int]:
    """Return up to `count` evenly spaced positions, including the first and the last."""
    return sorted(set(np.linspace(0, among - 1, min(count, among)).round().astype(int).tolist()))


def _way(clip: Clip, space: str) -> Html:
    """Draw the path of a clip, (T, 2), in segments that become darker over time."""
    points, _ = principal_axes(clip.pooled[space].astype(np.float64))
    at = fit(points, SIDE, EDGE).tolist()
    last = max(len(at) - 2, 1)
    lines = [
        tag("path", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}", opacity=f"{0.2 + 0.8 * number / last:.2f}")
        for number, ((x1, y1), (x2, y2)) in enumerate(itertools.pairwise(at))
    ]
    ends = [
        tag("circle", tag("title", name), cx=f"{x:.1f}", cy=f"{y:.1f}", r=4, class_=class_)
        for (x, y), name, class_ in ((at[0], "first frame", "first"), (at[-1], "last frame", "last"))
    ]
    box = f"0 0 {SIDE:.0f} {SIDE:.0f}"
    drawing = tag("svg", *lines, *ends, viewBox=box, class_="way", role="img", aria_label=f"way through {space}")
    return tag("div", drawing, tag("span", space), class_="panel")


def self_similarity(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (T, T): 1 for frames with equal features, (T, D), and 0 for the two that are farthest apart."""
    x = features.astype(np.float64) - features.mean(axis=0)
    squares = np.square(x).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0))
    similarity: NDArray[np.float64] = 1 - distance / max(float(distance.max()), 1e-12)
    return similarity


def _alike(clip: Clip, space: str) -> Html:
    picture = png(heat(self_similarity(clip.pooled[space])), name=f"self-similarity in {space}")
    return tag("div", picture, tag("span", space), class_="panel")
