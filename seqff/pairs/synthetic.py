"""Synthetic labeled clips: handwritten digits that move, rotate and change brightness, alone or in small scenes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm.auto import tqdm

from seqff.files import in_place


@dataclass(frozen=True)
class ClipSettings:
    """Appearance of clips of moving digits."""

    size_px: int = 64
    """Height and width of the frames, px."""
    frames: int = 24
    """Frames per clip."""
    fps: int = 25
    """Frame rate written into the file."""
    object_px: int = 32
    """Mean side of the object, px."""
    background: Literal["none", "static", "moving"] = "moving"
    """Background: black, one static texture per clip, or a moving texture."""
    background_contrast: float = 0.35
    """Largest gray level of the background, as a share of white."""
    speed_px: float = 3.0
    """Largest speed of the object along each axis, px per frame."""
    drift_px: float = 2.5
    """Speed of a moving background, px per frame: fast enough that it does not identify the clip."""
    turn_degrees: float = 2.0
    """Largest rotation speed, degrees per frame."""
    light: float = 0.25
    """Largest relative variation of the brightness around its mean."""


def texture(size_px: int, random: np.random.Generator) -> np.ndarray:
    """Return a random texture, (size_px, size_px) float32 in 0..1: smooth noise of four scales, summed."""
    import cv2

    total = np.zeros((size_px, size_px), np.float32)
    for cells in (3, 7, 15, 31):
        noise = random.random((cells, cells), dtype=np.float32)
        total += cv2.resize(noise, (size_px, size_px), interpolation=cv2.INTER_CUBIC) / np.sqrt(cells)
    total -= total.min()
    return np.asarray(total / total.max())


def _bounce(start: float, speed: float, low: float, high: float, frames: int) -> np.ndarray:
    """Return positions of an object that bounces between two walls at constant speed, (frames,)."""
    span = high - low
    phase = (start - low + speed * np.arange(frames)) % (2 * span)
    return np.asarray(low + np.minimum(phase, 2 * span - phase))


def _path(settings: ClipSettings, random: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw the path of an object: its (x, y) and its rotation in degrees at every frame."""
    margin = settings.object_px * 0.45
    low, high = margin, settings.size_px - margin
    center = [
        _bounce(random.uniform(low, high), settings.speed_px * random.uniform(-1, 1), low, high, settings.frames)
        for _ in range(2)
    ]
    turn = random.uniform(-25, 25) + settings.turn_degrees * random.uniform(-1, 1) * np.arange(settings.frames)
    return center, turn


def moving_object(image: np.ndarray, settings: ClipSettings, random: np.random.Generator) -> np.ndarray:
    """Animate an image of a bright object on black over a background.

    Args:
        image: (h, w) float in 0..1.
        settings: settings of the clip.
        random: source of path, rotation, light and background.

    Returns:
        (frames, size_px, size_px, 3) uint8, gray.
    """
    import cv2

    size, frames = settings.size_px, settings.frames
    center, turn = _path(settings, random)
    swing = settings.light * np.sin(random.uniform(0, 6.28) + random.uniform(0.05, 0.3) * np.arange(frames))
    scale = settings.object_px / max(image.shape) * random.uniform(0.8, 1.2)
    canvas = texture(3 * size, random) * settings.background_contrast if settings.background != "none" else None
    drift = np.zeros(2)
    if settings.background == "moving":
        direction = random.uniform(0, 2 * np.pi)
        drift = settings.drift_px * np.array([np.cos(direction), np.sin(direction)])
    clip = np.empty((frames, size, size, 3), np.uint8)
    middle = ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    for n in range(frames):
        place = cv2.getRotationMatrix2D(middle, float(turn[n]), scale)
        place[:, 2] += (center[0][n] - middle[0], center[1][n] - middle[1])
        shape = cv2.warpAffine(image.astype(np.float32), place, (size, size), flags=cv2.INTER_CUBIC).clip(0, 1)[
            ..., None
        ]
        behind = np.zeros((size, size, 1), np.float32)
        if canvas is not None:
            shift = np.array([[1, 0, -size + drift[0] * n], [0, 1, -size + drift[1] * n]])
            behind = cv2.warpAffine(canvas, shift, (size, size), borderMode=cv2.BORDER_REFLECT)[..., None]
        clip[n] = ((shape + (1 - shape) * behind) * (1 - settings.light + swing[n]) * 255).clip(0, 255)
    return clip


def moving_scene(image: np.ndarray, settings: ClipSettings, random: np.random.Generator) -> np.ndarray:
    """Animate an object among two others, each in its own color, under a panning camera and changing light.

    Args:
        image: (h, w) float in 0..1, the labeled object; it is in front.
        settings: settings of the clip; the background is a colored texture that moves with the camera.
        random: source of paths, colors, light and background.

    Returns:
        (frames, size_px, size_px, 3) uint8.
    """
    import cv2

    size, frames = settings.size_px, settings.frames
    far, near = random.uniform(0.1, 0.7, (2, 3)).astype(np.float32)
    canvas = texture(3 * size, random)[..., None] * (near - far) + far
    pan, shake = settings.drift_px * random.uniform(-1, 1, 2), random.uniform(0, 6.28, 2)
    yy, xx = np.mgrid[0:40, 0:40].astype(np.float32) - 19.5
    shapes = [np.hypot(xx, yy) < 14, (np.abs(xx) < 9) & (np.abs(yy) < 13), np.abs(xx) + np.abs(yy) < 15]
    masks = [shapes[kind].astype(np.float32) for kind in random.integers(0, len(shapes), 2)] + [image]
    objects = []
    for mask in masks:
        tone = random.uniform(0.55, 1.0, 3) if mask is image else random.uniform(0.0, 0.9, 3)
        side = settings.object_px * (random.uniform(0.9, 1.2) if mask is image else random.uniform(0.4, 0.7))
        scale = side / max(mask.shape)
        objects.append((np.asarray(mask, np.float32), tone.astype(np.float32), scale, *_path(settings, random)))
    swing = settings.light * np.sin(random.uniform(0, 6.28) + random.uniform(0.05, 0.3) * np.arange(frames))
    warmth = 0.12 * np.sin(random.uniform(0, 6.28) + random.uniform(0.02, 0.15) * np.arange(frames))
    clip = np.empty((frames, size, size, 3), np.uint8)
    for n in range(frames):
        shift = -size + pan * n + 1.5 * np.sin(shake + 0.7 * n)
        move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
        picture = cv2.warpAffine(canvas, move, (size, size), borderMode=cv2.BORDER_REFLECT)
        for shape, color, scale, center, turn in objects:
            middle = ((shape.shape[1] - 1) / 2, (shape.shape[0] - 1) / 2)
            place = np.asarray(cv2.getRotationMatrix2D(middle, float(turn[n]), scale))
            place[:, 2] += (center[0][n] - middle[0], center[1][n] - middle[1])
            alpha = cv2.warpAffine(shape, place, (size, size), flags=cv2.INTER_LINEAR).clip(0, 1)[..., None]
            picture = picture + alpha * (color - picture)
        light = (1 - settings.light + swing[n]) * np.array([1 + warmth[n], 1, 1 - warmth[n]])
        clip[n] = (picture * light * 255).clip(0, 255)
    return clip


def write_clip(path: Path, frames: np.ndarray, *, fps: int = 25) -> None:
    """Write frames as an H.264 file (MPEG-4 where PyAV has no H.264 encoder).

    Args:
        path: file to write, .mp4; written atomically.
        frames: (T, H, W, 3) uint8 RGB, H and W even.
        fps: frame rate.
    """
    import av

    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        # a fixed quantizer, because x264's rate control is not deterministic
        stream.options = {"qp": "20", "preset": "veryfast"} if codec == "libx264" else {"qscale": "3"}
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    with in_place(path, file.getbuffer().nbytes) as partial:
        partial.write_bytes(file.getbuffer())


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's digits, smoothly upscaled: (1797, 40, 40) float32 in 0..1, and their (1797,) labels."""
    import cv2
    from sklearn.datasets import load_digits

    data = load_digits()
    images = [
        cv2.resize(image.astype(np.float32) / 16, (32, 32), interpolation=cv2.INTER_CUBIC) for image in data.images
    ]
    padded = np.pad(np.stack(images).clip(0, 1), ((0, 0), (4, 4), (4, 4)))
    return padded, data.target


def write_digit_clips(
    folder: str | Path,
    *,
    clips: int = 300,
    settings: ClipSettings | None = None,
    scenes: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> list[Path]:
    """Write clips of moving digits as FOLDER/digit_D/NNNN.mp4, each with a different digit image.

    Args:
        folder: output folder.
        clips: number of clips, at most 1797; the ten digits are as balanced as possible.
        settings: appearance of the clips.
        scenes: colored scenes with other objects and a panning camera (see `moving_scene`).
        seed: seed of all choices.
        progress: show a progress bar (on a terminal).

    Returns:
        The paths.

    Raises:
        ValueError: more clips than digit images.
    """
    settings = settings or ClipSettings()
    images, labels = digits()
    if not 1 <= clips <= len(images):
        raise ValueError(f"clips must be 1..{len(images)} (one digit image each), got {clips}")
    random = np.random.default_rng([seed, 1])
    order = random.permutation(len(images))
    rank = np.array([int((labels[order[:place]] == labels[order[place]]).sum()) for place in range(len(order))])
    chosen = order[np.argsort(rank, kind="stable")[:clips]]
    paths = []
    for number, index in enumerate(tqdm(chosen, desc="write clips", unit="clip", disable=None if progress else True)):
        path = Path(folder) / f"digit_{labels[index]}" / f"{number:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = moving_scene if scenes else moving_object
        clip = draw(images[index], settings, np.random.default_rng([seed, 2, number]))
        write_clip(path, clip, fps=settings.fps)
        paths.append(path)
    return paths
