"""What each layer sees: first-layer filters, frames that excite a channel, nearest neighbors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

from seqff.nets import Encoder
from seqff.report.activations import ActivationSample, Clip
from seqff.report.data import ReportData
from seqff.report.html import Html, Section, absent, absent_figure, figure, join, tag
from seqff.report.images import ImageStore, Spot, png, strip

MOST_FILTERS = 64
CHANNELS, EXCITING = 4, 6
"""Number of channels shown per layer, and of frames per channel, each from another video."""
ALIKE = 0.7
"""Correlation over videos above which two channels count as redundant."""
QUERIES, NEIGHBORS = 3, 5


def visualization(
    data: ReportData, sample: ActivationSample | None, images: ImageStore, why: str, seed: int
) -> Section:
    """Show filters, and pictures if videos could be read (`why` gives the reason if not)."""
    parts = [_filters(data)]
    if sample is None:
        parts += [
            absent_figure("figure-channels", why, "Frames that excite a channel most"),
            absent_figure("figure-neighbors", why, "Nearest neighbors"),
        ]
        answer = "Only the filters can be shown."
    else:
        parts += [_channels(sample, images), _neighbors(sample, images, data.labels, seed)]
        answer = (
            f"Judge by eye, on {len(sample.clips)} videos: the frames that excite a layer's channels, and those it "
            "takes for alike, beside those that are alike in plain pixels."
        )
    return Section("visualization", "layers", "What does each layer see?", answer, join(*parts))


def _filters(data: ReportData) -> Html:
    sheets = []
    for name, encoder in (("trained", data.encoder), ("untrained", data.untrained)):
        sheet = None if encoder is None else filter_sheet(encoder)
        if sheet is not None:
            sheets.append(tag("div", tag("h4", name), png(sheet, name=f"first-layer filters, {name}"), class_="sheet"))
    if not sheets:
        why = data.missing.get("encoder", "The first layer has no filters of its own (no convolution).")
        return absent_figure("figure-filters", why, "First-layer filters")
    caption = (
        "The filters of the first layer, in the order of its channels, beside the random ones it began with. Gray is "
        "0, and each filter is scaled to its own largest weight."
    )
    body = join(tag("h3", "First-layer filters"), tag("div", *sheets, class_="sheets"))
    return figure("figure-filters", body, caption)


def filter_sheet(encoder: Encoder) -> NDArray[np.uint8] | None:
    """Return the filters of the first convolution as a sheet, (H, W, 3) uint8; None if there is none.

    Filters that do not have 3 input channels are shown as their mean over channels.
    """
    first = next((module for module in encoder.layers[0].modules() if isinstance(module, nn.Conv2d)), None)
    if first is None:
        return None
    weight = first.weight.detach().cpu().numpy()[:MOST_FILTERS].transpose(0, 2, 3, 1)
    if weight.shape[-1] != 3:
        weight = weight.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
    tiles = (127.5 * (1 + weight / np.maximum(largest, 1e-12))).round().astype(np.uint8)
    count, height, width = tiles.shape[:3]
    columns = 8 if count > 8 else count
    rows = -(-count // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1, 3), 127, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + 1) + 1, (number % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = tile
    return sheet


def choose_channels(peaks: NDArray[np.float32]) -> list[int]:
    """Choose channels that distinguish videos, each in a different way.

    Args:
        peaks: (videos, C), maximum activity of each channel in each video.

    Returns:
        Indices of the channels with the largest standard deviation over videos, without those correlated with one
        already chosen.
    """
    spread = peaks.std(axis=0)
    centered = (peaks - peaks.mean(axis=0)) / np.maximum(spread, 1e-12)
    taken: list[int] = []
    for channel in np.argsort(-spread):
        alike = [abs(float((centered[:, channel] * centered[:, other]).mean())) for other in taken]
        if spread[channel] > 0 and max(alike, default=0.0) < ALIKE:
            taken.append(int(channel))
        if len(taken) == CHANNELS:
            break
    return taken


def _channels(sample: ActivationSample, images: ImageStore) -> Html:
    parts = []
    for layer in sample.layers:
        peaks = np.stack([clip.peak[layer].max(axis=0) for clip in sample.clips])
        strips = []
        for channel in choose_channels(peaks):
            best = [sample.clips[place] for place in np.argsort(-peaks[:, channel], kind="stable")[:EXCITING]]
            cells = []
            for clip in best:
                moment = int(clip.peak[layer][:, channel].argmax())
                x, y = clip.place[layer][moment, channel].tolist()
                picture = _frame(clip, moment, images, spot=(x, y))
                peak = float(clip.peak[layer][moment, channel])
                cells.append((picture, f"{peak:.0f}" if peak >= 100 else f"{peak:.2g}"))
            strips.append(tag("div", tag("span", f"channel {channel}", class_="rowname"), strip(cells), class_="row"))
        dead = absent("No channel of this layer tells the videos apart.")
        parts.append(tag("div", tag("h4", layer), *(strips or [dead])))
    caption = (
        f"The frames that excite a channel most, each from another of the {len(sample.clips)} videos looked at; the "
        "ring is where, the number how much. Shown are the channels that tell these videos apart best."
    )
    return figure(
        "figure-channels", join(tag("h3", "What excites a channel most"), tag("div", *parts, class_="columns")), caption
    )


def _frame(clip: Clip, moment: int, images: ImageStore, *, spot: Spot | None = None) -> Html:
    number = images.add(clip.video, int(clip.frames[moment]), clip.pictures[moment])
    return images.show(number, name=f"{clip.video}, frame {clip.frames[moment]}", spot=spot)


def nearest(queries: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (Q, N) cosines of queries (Q, D) and features (N, D), both centered and scaled as the features are."""
    mean, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    a, b = (queries - mean) / spread, (features - mean) / spread
    a /= np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-12)
    b /= np.maximum(np.linalg.norm(b, axis=1, keepdims=True), 1e-12)
    cosines: NDArray[np.float32] = a @ b.T
    return cosines


def _neighbors(sample: ActivationSample, images: ImageStore, labels: Mapping[str, str], seed: int) -> Html:
    if len({clip.content for clip in sample.clips}) < 2:
        why = "There is only one video, and neighbors are sought in others."
        return absent_figure("figure-neighbors", why, "Nearest neighbors")
    asked = np.random.default_rng([seed, 1]).permutation(len(sample.clips))[:QUERIES]
    parts = [_of_query(sample, sample.clips[place], images, labels) for place in asked]
    caption = (
        "A frame, and the frames most like it by the features of each layer (cosine of features as far as they differ "
        "from the mean), the best of each other video; the number is the cosine. Pixels are the baseline: what looks "
        "alike without any learning."
    )
    return figure(
        "figure-neighbors",
        join(tag("h3", "Nearest neighbors in other videos"), tag("div", *parts, class_="columns")),
        caption,
    )


def _of_query(sample: ActivationSample, clip: Clip, images: ImageStore, labels: Mapping[str, str]) -> Html:
    moment = len(clip.frames) // 2
    others = [other for other in sample.clips if other.content != clip.content]
    number = images.add(clip.video, int(clip.frames[moment]), clip.pictures[moment])
    head = tag(
        "div", images.show(number, name=clip.video), tag("span", called(clip.video, labels)), class_="cell query"
    )
    rows = []
    for layer in ("pixels", *sample.layers):
        features = np.concatenate([other.pooled[layer] for other in others])
        owner = np.repeat(np.arange(len(others)), [len(other.frames) for other in others])
        cosine = nearest(clip.pooled[layer][moment : moment + 1], features)[0]
        order = np.argsort(-cosine, kind="stable")
        _, first = np.unique(owner[order], return_index=True)  # the best frame of each other video
        cells = []
        for row in order[np.sort(first)[:NEIGHBORS]].tolist():
            other = others[owner[row]]
            picture = _frame(other, row - int(np.searchsorted(owner, owner[row])), images)
            cells.append((picture, f"{cosine[row]:.2f} {labels.get(other.video, '')}".strip()))
        rows.append(tag("div", tag("span", layer, class_="rowname"), strip(cells), class_="row"))
    return tag("div", head, tag("div", *rows), class_="asked")


def called(video: str, labels: Mapping[str, str]) -> str:
    """Return a video's file name, with its label if known."""
    name = video.rpartition("/")[2]
    return f"{name} ({labels[video]})" if video in labels else name
