"""A map of all clips per layer; hovering over a dot shows its frame and video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqff.report.activations import CLIP_FRAMES, ActivationSample
from seqff.report.charts import legend
from seqff.report.html import Html, Section, absent_figure, data_block, figure, join, tag
from seqff.report.images import ImageStore
from seqff.report.projection import Projection, fit, project

SIDE, EDGE = 320.0, 12.0
COLORS = 10
"""Number of groups with their own color; all others are gray."""


def map_of_clips(
    sample: ActivationSample | None,
    images: ImageStore,
    labels: Mapping[str, str],
    why: str,
    *,
    projection: Projection,
    seed: int,
) -> Section:
    """Draw one dot per video in each layer's space, colored by label, or by folder if labels are unknown."""
    question = "Where do the clips lie in each layer?"
    if sample is None or len(sample.clips) < 3:
        why = why or f"{0 if sample is None else len(sample.clips)} clips are too few for a map; it takes three."
        body = absent_figure("figure-map", why, "A map of all clips")
        return Section("map", "map", question, "Not drawn.", body)
    by = "label" if labels else "folder"
    groups = [
        labels.get(clip.video, "no label") if labels else clip.video.rpartition("/")[0] or "(top)"
        for clip in sample.clips
    ]
    colors = color_of(groups)
    maps = [
        _map(sample, layer, [colors[group] for group in groups], projection, seed)
        for layer in (*sample.layers, "pixels")
    ]
    keys = [(group, "dot", f"color:var(--class{color})") for group, color in colors.items() if color < COLORS]
    if len(keys) < len(colors):
        keys.append((f"{len(colors) - len(keys)} more", "dot", f"color:var(--class{COLORS})"))
    caption = (
        f"One dot a video: a clip of {CLIP_FRAMES} frames from its middle, described as seqff extract describes clips, "
        f"each feature scaled to variance 1. Colored by {by}. Point at a dot, tap it, or walk the dots with the arrow "
        "keys: its frame and its video appear, and the same video is marked in the other maps."
    )
    picture = tag("svg", tag("use", href="#frame0"), viewBox=f"0 0 {images.width} {images.height}")
    lines = tag("b", class_="card-name"), tag("span", class_="card-note")
    card = tag("div", picture, *lines, id="card", role="status", hidden="")  # filled in by the page's script
    shown = join(legend(keys) if len(colors) > 1 else None, tag("div", *maps, class_="grid maps"))
    body = join(figure("figure-map", shown, caption), card, data_block("clips", _dots(sample, images, groups, by)))
    return Section("map", "map", question, _answer(sample, by, colors), body)


def color_of(groups: Sequence[str]) -> dict[str, int]:
    """Assign colors 0 to COLORS - 1 to the largest groups, in order of names; the others share one."""
    most = [group for group, _ in Counter(sorted(groups)).most_common(COLORS)]
    own = {group: number for number, group in enumerate(sorted(most))}
    return own | dict.fromkeys(sorted(set(groups) - set(own)), COLORS)


def _answer(sample: ActivationSample, by: str, colors: Mapping[str, int]) -> str:
    words = f"{len(sample.clips)} of {sample.usable} videos. " if len(sample.clips) < sample.usable else ""
    if len(colors) > 1:
        return (
            words + f"Where dots of one color lie together, the layer knows something of the {by} without being told."
        )
    return words + "Dots that lie together are alike to the layer."


def _dots(sample: ActivationSample, images: ImageStore, groups: Sequence[str], by: str) -> list[dict[str, Any]]:
    """Return the data of each dot for the page's script."""
    dots = []
    for clip, group in zip(sample.clips, groups, strict=True):
        moment = len(clip.frames) // 2
        number = images.add(clip.video, int(clip.frames[moment]), clip.pictures[moment])
        note = f"frame {clip.frames[moment]}, {by} {group}"
        dots.append({"video": clip.video, "note": note, "frame": number, "film": images.of(clip.video)})
    return dots


def _map(sample: ActivationSample, layer: str, colors: Sequence[int], projection: Projection, seed: int) -> Html:
    features = np.stack([clip.descriptor(layer) for clip in sample.clips])
    points, remark = project(features, projection, seed=seed)
    at = fit(points, SIDE, EDGE)
    top, bottom = float(at[:, 1].min()) - 2 * EDGE, float(at[:, 1].max()) + 2 * EDGE
    dots = [
        tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=5, data_clip=number, fill=f"var(--class{color})")
        for number, ((x, y), color) in enumerate(zip(at.tolist(), colors, strict=True))
    ]
    box = f"0 {top:.1f} {SIDE:.0f} {bottom - top:.1f}"
    label = f"map of {layer}; arrow keys go from dot to dot"
    drawing = tag("svg", *dots, viewBox=box, class_="map", tabindex="0", role="application", aria_label=label)
    return tag("div", drawing, tag("span", tag("b", layer), f", {remark}"), class_="panel")
