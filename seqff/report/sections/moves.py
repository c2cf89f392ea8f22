"""How do features move in time? A clip's way through feature space, and how alike its moments are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqff.report.html import Content, Html, absent, figure, join, table, tag
from seqff.report.looking import LONG_FRAMES, Clip, Look
from seqff.report.pictures import Shelf, heat, png, strip
from seqff.report.projection import fit, principal_axes
from seqff.report.sections.base import Section

SIDE, EDGE = 170.0, 9.0
FILM = 8
"""Frames shown of a video that is followed."""


def moves(seen: Look | None, shelf: Shelf, why: str) -> Section:
    """Follow a few videos over their length through pixels and every layer."""
    question = "How do features move in time?"
    followed = [] if seen is None else [clip for clip in seen.long if len(clip.frames) > 2]
    if seen is None or not followed:
        why = why or "No video that was looked at has three frames."
        body = join(
            figure("figure-trajectory", absent(why), "A clip's way through feature space: absent."),
            figure("figure-similarity", absent(why), "Self-similarity: absent."),
        )
        return Section("moves", "motion", question, "Not looked at.", body)
    spaces = ["pixels", *seen.layers]
    ways: list[Html] = []
    alike: list[Html] = []
    for clip in followed:
        head = tag("h4", clip.video)
        ways.append(join(head, _film(clip, shelf), tag("div", *(_way(clip, name) for name in spaces), class_="small")))
        alike.append(join(head, tag("div", *(_alike(clip, name) for name in spaces), class_="small")))
    way = (
        "The way of a whole video through feature space, on the two axes on which it goes farthest, from its first "
        "frame (light) to its last (dark). Features that follow things and not pixels move smoothly; motion that "
        "repeats comes back to where it was."
    )
    matrix = (
        "Self-similarity: how alike every two moments of the same video are, time going right and down; bright is "
        "alike, each matrix from its own farthest pair to 0. Stripes beside the diagonal are motion that repeats, "
        "blocks are phases."
    )
    ways.insert(0, tag("h3", "The way through feature space"))
    alike.insert(0, tag("h3", "Self-similarity"))
    figures = figure("figure-trajectory", join(*ways), way), figure("figure-similarity", join(*alike), matrix)
    body = join(*figures, tag("h3", "How slow each layer is"), _slowness(followed, spaces))
    return Section("moves", "motion", question, _answer(followed, seen.layers), body)


def step_share(features: NDArray[np.float32]) -> float:
    """Return the mean squared step from one frame to the next, as a share of that between any two frames of the video.

    Args:
        features: (T, D), T >= 2.

    Returns:
        Near 0 for features that change slowly, 1 for those that know nothing of the order; 0 if nothing changes.
    """
    steps = np.square(np.diff(features.astype(np.float64), axis=0)).sum(axis=1).mean()
    apart = 2 * features.astype(np.float64).var(axis=0).sum() * len(features) / (len(features) - 1)
    return float(steps / apart) if apart > 0 else 0.0


def _answer(clips: Sequence[Clip], names: Sequence[str]) -> str:
    shares = {name: float(np.mean([step_share(clip.pooled[name]) for clip in clips])) for name in ("pixels", *names)}
    slowest = min(names, key=lambda name: shares[name])
    return (
        f"In the {len(clips)} videos followed, {slowest} is the slowest layer: from one frame to the next it goes "
        f"{shares[slowest]:.0%} of the squared distance between two frames of the video taken at random. Pixels go "
        f"{shares['pixels']:.0%}."
    )


def _slowness(clips: Sequence[Clip], spaces: Sequence[str]) -> Html:
    rows: list[list[Content]] = []
    for clip in clips:
        rows.append([clip.video, *(f"{step_share(clip.pooled[name]):.2f}" for name in spaces)])
    note = (
        "Mean squared step to the next frame over the mean squared distance of any two frames of the video: 0 does not "
        f"move, 1 knows nothing of the order. At most {LONG_FRAMES} frames are taken of a video, equally far apart."
    )
    return join(tag("p", note), table(["video", *spaces], rows))


def _film(clip: Clip, shelf: Shelf) -> Html:
    moments = np.unique(np.linspace(0, len(clip.frames) - 1, min(FILM, len(clip.frames))).round().astype(int))
    cells = []
    for moment in moments:
        frame = int(clip.frames[moment])
        number = shelf.add(clip.video, frame, clip.pictures[moment])
        cells.append((shelf.show(number, name=f"{clip.video}, frame {frame}"), str(frame)))
    return strip(cells)


def _way(clip: Clip, space: str) -> Html:
    """Draw the path of a clip, (T, 2), in segments that get darker."""
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
    """Return (T, T): 1 for frames with the same features, (T, D), 0 for the two that are farthest apart."""
    x = features.astype(np.float64) - features.mean(axis=0)
    squares = np.square(x).sum(axis=1)
    distance = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * x @ x.T, 0))
    similarity: NDArray[np.float64] = 1 - distance / max(float(distance.max()), 1e-12)
    return similarity


def _alike(clip: Clip, space: str) -> Html:
    picture = png(heat(self_similarity(clip.pooled[space])), name=f"self-similarity in {space}")
    return tag("div", picture, tag("span", space), class_="panel")
