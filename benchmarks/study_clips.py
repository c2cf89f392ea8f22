"""Clips for the study: rotating solids, and people of real clips in front of one wall."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from seqff.pairs.synthetic import write_clip
from seqff.video import open_video

SIDE, FRAMES, KINDS, SEED = 64, 24, 10, 11
Floats = NDArray[np.float64]


def solid(
    centres: Floats, radii: Floats, colors: Floats, *, azimuth: float, elevation: float, light: float, behind: Floats
) -> NDArray[np.uint8]:
    """Draw spheres in parallel projection, with diffuse light from the upper right.

    Args:
        centres: (k, 3), in half sides of the image.
        radii: (k,), the same unit.
        colors: (k, 3), 0..1.
        azimuth: rotation about the vertical axis, radians.
        elevation: elevation of the camera, radians.
        light: brightness factor.
        behind: (64, 64, 3), 0..1.

    Returns:
        (64, 64, 3) uint8.
    """
    turn = np.array([[np.cos(azimuth), 0, -np.sin(azimuth)], [0, 1, 0], [np.sin(azimuth), 0, np.cos(azimuth)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(elevation), -np.sin(elevation)], [0, np.sin(elevation), np.cos(elevation)]])
    y, x = np.mgrid[1 : -1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    nearest, picture = np.full((SIDE, SIDE), -9.0), behind.copy()
    sun = np.array([0.4, 0.7, 0.6]) / np.linalg.norm([0.4, 0.7, 0.6])
    for centre, radius, color in zip(centres @ turn.T @ tilt.T, radii, colors, strict=True):
        dx, dy = x - centre[0], y - centre[1]
        dz = np.sqrt(np.maximum(radius**2 - dx**2 - dy**2, 0))
        seen = (dz > 0) & (centre[2] + dz > nearest)
        shade = 0.25 + 0.75 * np.clip(np.stack([dx, dy, dz], axis=-1) / radius @ sun, 0, 1)
        picture[seen] = (shade[..., None] * color)[seen]
        nearest[seen] = (centre[2] + dz)[seen]
    return (picture * light * 255).clip(0, 255).astype(np.uint8)


def solid_kinds() -> list[tuple[Floats, Floats]]:
    """Draw the kinds: centers (k, 3) and radii (k,) of the five to eight spheres of each."""
    random = np.random.default_rng(SEED)
    kinds = []
    for _ in range(KINDS):
        count = random.integers(5, 9)
        kinds.append((random.uniform(-0.5, 0.5, (count, 3)) * [1, 0.9, 1], random.uniform(0.12, 0.3, count)))
    return kinds


def turning_solid(kind: tuple[Floats, Floats], behind: Floats, random: np.random.Generator) -> NDArray[np.uint8]:
    """Animate a solid of a kind that rotates about its vertical axis.

    Args:
        kind: mean centers and radii of its spheres.
        behind: (64, 64), 0..1, the background.
        random: source of positions, sizes, color, speed, camera and light.

    Returns:
        (24, 64, 64, 3) uint8.
    """
    centres, radii = kind
    centres = centres + random.normal(0, 0.09, centres.shape)
    radii = radii * random.uniform(0.8, 1.25, radii.shape)
    colors = random.uniform(0.3, 1, (1, 3)) * random.uniform(0.6, 1, (len(radii), 1))
    start = random.uniform(0, 2 * np.pi)
    speed = np.deg2rad(random.uniform(5, 12)) * random.choice([-1, 1])
    elevation, light = np.deg2rad(random.uniform(5, 35)), random.uniform(0.7, 1)
    scene = np.repeat(behind[..., None], 3, axis=2)
    frames = (
        solid(centres, radii, colors, azimuth=start + speed * n, elevation=elevation, light=light, behind=scene)
        for n in range(FRAMES)
    )
    return np.stack(list(frames))


def write_before_one_wall(clips: Path, folder: Path) -> None:
    """Cut moving regions out of the clips of a folder and paste them over the background of one clip.

    Regions that never move in a clip, such as the body of a waving person, are lost with its background.
    """
    import cv2

    files = sorted(clips.glob("*/*"))
    wall = np.median(_read(next(file for file in files if file.stem == "daria_walk")), axis=0)
    for file in tqdm(files, desc=f"write {folder.name}", disable=None):
        frames = _read(file).astype(np.float32)
        moved = np.abs(frames - np.median(frames, axis=0)).max(axis=-1)
        shown = [
            cv2.GaussianBlur(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), (3, 3), 0)
            for mask in np.clip((moved - 14) / 20, 0, 1)
        ]
        alpha = np.stack(shown)[..., None]
        clip = alpha * frames + (1 - alpha) * cv2.resize(wall, (frames.shape[2], frames.shape[1]))
        path = folder / file.parent.name / f"{file.stem}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, clip.clip(0, 255).astype(np.uint8))


def _read(file: Path) -> NDArray[np.uint8]:
    with open_video(file) as video:
        return video.clip(0, len(video))
