"""Decode a sample of the videos once, and compute the layers' activations for all pictures of the page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.errors import VideoError
from seqff.features import spatial_pool, temporal_pool
from seqff.nets import Encoder
from seqff.transform import Fit, FrameTransform
from seqff.video import Manifest, VideoEntry, open_video
from seqff.video.rows import chosen, column

CLIP_FRAMES = 8
"""Consecutive frames from the middle of a video that represent it: enough to see motion, cheap to decode."""
LONG_FRAMES = 64
"""Maximum number of frames of a video whose path through feature space is drawn."""
MOST_LAYERS = 6
SHORT_SIDE_PX = 96
"""Shorter side of a displayed frame."""
FILM_FRAMES = 8
"""Number of frames, over a whole video, that represent it."""
GRID = 2  # the default of `seqff extract`
PIXEL_GRID = 8


@dataclass
class Clip:
    """Some frames of a video and the layers' activations.

    Args:
        video: its path.
        content: content hash; equal for copies of a video.
        frames: (T,) frame numbers.
        pictures: (T, h, w, 3) uint8, the frames as seen by the encoder, at display size.
        pooled: by layer (including "pixels"), (T, D) float32 features of each frame.
        peak: by layer, (T, C) float32, maximum activity of each channel.
        place: by layer, (T, C, 2) float32, its position, (x, y) as fractions of the frame.
    """

    video: str
    content: str
    frames: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    pooled: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    peak: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    place: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def descriptor(self, layer: str) -> NDArray[np.float32]:
        """Return (3 D,) mean, standard deviation and mean |difference| over the frames, as `seqff extract` does."""
        return temporal_pool(self.pooled[layer]).ravel()


@dataclass(frozen=True)
class ActivationSample:
    """Pictures and features of a sample of the videos.

    Args:
        clips: a short clip of each sampled video.
        long: a few videos over their whole length, including features of the untrained layers (`untrained/LAYER`).
        films: by path, a few frames over the whole length of requested videos; only pictures.
        layers: the layers shown, bottom to top.
        usable: number of videos to sample from.
        failed: by path, why a sampled video could not be read.
        size: (height, width) of the pictures, px.
    """

    clips: Sequence[Clip]
    long: Sequence[Clip]
    films: Mapping[str, Clip]
    layers: Sequence[str]
    usable: int
    failed: Mapping[str, str]
    size: tuple[int, int]


def sample_activations(
    manifest: Manifest,
    encoder: Encoder,
    untrained: Encoder | None,
    *,
    most: int,
    long: int,
    films: Collection[str],
    seed: int,
    device: torch.device,
    progress: bool,
) -> ActivationSample:
    """Decode a sample of the videos and compute their activations.

    Args:
        manifest: manifest of the videos.
        encoder: the trained net.
        untrained: the untrained net; None if there is none.
        most: maximum number of short clips; of more videos, a random sample.
        long: number of videos followed over their whole length.
        films: paths of further videos whose frames are shown; unknown ones are ignored.
        seed: seed of the sampling.
        device: device of the encoders.
        progress: show a progress bar if stderr is a terminal.
    """
    usable = manifest.usable
    rng = np.random.default_rng(seed)
    drawn = list(chosen(usable, np.sort(rng.permutation(len(usable))[:most])))
    followed = {entry.path for entry in _from_different_folders(drawn, long, rng)}
    size = shown_size(encoder.transform)
    layers = shown_layers([info.name for info in encoder.feature_info])
    describe = Describer(encoder.to(device).eval(), layers, device)
    before = None if untrained is None else Describer(untrained.to(device).eval(), layers, device)
    clips: list[Clip] = []
    whole: list[Clip] = []
    shown: dict[str, Clip] = {}
    failed: dict[str, str] = {}
    sampled = {entry.path for entry in drawn}
    wanted = {entry.path: entry for entry in drawn}
    filmed = np.array([path in films for path in column(usable, "path")], dtype=bool)
    wanted |= {entry.path: entry for entry in chosen(usable, filmed)}
    for path, entry in tqdm(wanted.items(), "look at", unit="video", disable=None if progress else True):

        def read(frames: NDArray[np.int64], entry: VideoEntry = entry) -> Clip:
            return _decode(manifest.path(entry), entry, frames, size, encoder.transform.fit)

        try:
            if path in sampled:
                clips.append(describe(read(middle(entry.frames, CLIP_FRAMES))))
            if path in followed:
                clip = describe(read(spread(entry.frames, LONG_FRAMES)))
                pooled = {} if before is None else before(replace(clip, pooled={}, peak={}, place={})).pooled
                clip.pooled |= {f"untrained/{layer}": pooled[layer] for layer in layers if layer in pooled}
                whole.append(clip)
            if path in films:
                shown[path] = read(spread(entry.frames, FILM_FRAMES))
        except (VideoError, OSError) as error:
            failed[path] = str(error)
    encoder.to("cpu")
    return ActivationSample(clips, whole, shown, layers, len(usable), failed, size)


def shown_layers(names: Sequence[str]) -> list[str]:
    """Return the names of all layers, or if there are many, of some from first to last."""
    places = np.unique(np.linspace(0, len(names) - 1, min(MOST_LAYERS, len(names))).round().astype(int))
    return [names[place] for place in places]


def shown_size(transform: FrameTransform) -> tuple[int, int]:
    """Return the (height, width) at which the encoder's input is displayed, px."""
    scale = SHORT_SIDE_PX / min(transform.height, transform.width)
    return round(transform.height * scale), round(transform.width * scale)


def middle(frames: int, count: int) -> NDArray[np.int64]:
    """Return `count` consecutive frame numbers around the middle of a video; all if it has fewer."""
    start = max(0, (frames - count) // 2)
    return np.arange(start, min(start + count, frames))


def spread(frames: int, count: int) -> NDArray[np.int64]:
    """Return up to `count` evenly spaced frame numbers over the whole video."""
    return np.arange(0, frames, -(-frames // count))


class Describer:
    """Computes the activations of clips.

    Args:
        encoder: in eval mode, on the device.
        layers: names of the layers whose maps are kept.
        device: device for computation.
    """

    def __init__(self, encoder: Encoder, layers: Sequence[str], device: torch.device) -> None:
        self.encoder, self.device = encoder, device
        names = [info.name for info in encoder.feature_info]
        self.wanted = {name: names.index(name) for name in layers}

    def __call__(self, clip: Clip) -> Clip:
        """Add the layers' activations to a clip, and return it."""
        transform = self.encoder.transform
        frames = [
            cv2.resize(x, (transform.width, transform.height), interpolation=cv2.INTER_AREA) for x in clip.pictures
        ]
        with torch.inference_mode():
            x = transform(torch.from_numpy(np.stack(frames)).to(self.device))
            clip.pooled["pixels"] = spatial_pool(x, PIXEL_GRID).cpu().numpy()
            maps = self.encoder(x, list(self.wanted.values()))
            for name, out in zip(self.wanted, maps, strict=True):
                clip.pooled[name] = spatial_pool(out.float(), GRID).cpu().numpy()
                peak, place = out.float().flatten(2).max(dim=2)
                rows, columns = out.shape[2:]
                where = torch.stack([(place % columns + 0.5) / columns, (place // columns + 0.5) / rows], dim=2)
                clip.peak[name], clip.place[name] = peak.cpu().numpy(), where.float().cpu().numpy()
        return clip


def _decode(path: Path, entry: VideoEntry, frames: NDArray[np.int64], size: tuple[int, int], fit: Fit) -> Clip:
    """Read frames as the encoder sees them, cropped or letterboxed, but at display size."""
    shown = FrameTransform(size[0], size[1], fit=fit)
    with open_video(path, size=shown.decode_size(entry.height, entry.width), entry=entry) as reader:
        read = reader.at(frames)
    pictures = np.ascontiguousarray(shown.framed(torch.from_numpy(read)).numpy())
    return Clip(entry.path, entry.content_hash or entry.path, frames, pictures)


def _from_different_folders(entries: Sequence[VideoEntry], count: int, random: np.random.Generator) -> list[VideoEntry]:
    """Sample videos from different folders as far as possible, since folders are often classes."""
    order = [entries[place] for place in random.permutation(len(entries))]
    first: dict[str, VideoEntry] = {}
    for entry in order:
        first.setdefault(entry.path.rpartition("/")[0], entry)
    taken = list(first.values())
    return (taken + [entry for entry in order if entry not in taken])[:count]
