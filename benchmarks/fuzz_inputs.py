"""Small valid inputs of every kind that seqff reads, and seeded mutations of them."""

from __future__ import annotations

import copy
import json
import shutil
import struct
import tarfile
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import cv2
import numpy as np
import yaml

from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.config_io import to_dict
from seqff.features import extract
from seqff.train import train
from seqff.video import scan

FILMS = {
    "a.mp4": "mpeg4", "b.mp4": "libx264", "a.mov": "mjpeg", "a.mkv": "libx264", "a.webm": "libvpx-vp9",
    "a.avi": "mpeg4",
    "b.avi": "rawvideo", "a.ts": "mpeg2video", "a.mpg": "mpeg2video", "a.flv": "flv", "a.gif": "gif",
    "a.h264": "libx264",
    "a.y4m": "rawvideo", "b.mov": "png",
}  # fmt: skip
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p", "png": "rgba"}
PICTURES = (".png", ".jpg", ".bmp", ".ppm", ".webp", ".tiff")
CONFIG = TrainConfig(
    steps=4,
    checkpoint_every=2,
    log_every=1,
    precision="fp32",
    pairs=PairsConfig(
        size_px=16,
        gap=1,
        far=3,
        videos_per_batch=2,
        clips_per_video=2,
        clip_frames=2,
        batches_per_visit=1,
        buffer_videos=3,
    ),
    encoder=EncoderConfig(widths=(4, 6), kernels=(5, 3), strides=(2, 1), pools=(1, 1)),
    objective=ObjectiveConfig(head_out=4, grid=(2,)),
)
NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**48, 2**63 - 1)
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**62, 10**30, -(10**30), 0.0, -0.5, 1e308, float("nan"), float("inf"), "", "x", "\0",
    "../../outside", "/etc/passwd", "concat:a.mp4", "=1+1", "\x1b[31m", "\ud800", [], {}, [[]], [1], [[1, 2**40]],
    [[0, 5], [1, -5]], {"a": {}}, "0" * 32, "9" * 5000, [0] * 3000,
)  # fmt: skip


def write_film(path: Path, codec: str, frames: int = 8, start: int = 0) -> None:
    """Write a small video."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(25), width=32, height=32)
        stream.pix_fmt = PIXELS.get(codec, "yuv420p")
        stream.gop_size = 4
        for number in range(start, start + frames):
            image = np.roll(np.arange(32 * 32 * 3).reshape(32, 32, 3), number * 99).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def make_seeds(folder: Path) -> None:
    """Write valid inputs: videos, pictures, arrays, tar files, a manifest, settings, a run and features."""
    noise = np.random.default_rng(0).integers(0, 255, (4, 24, 24, 3), dtype=np.uint8)
    for part in ("films", "pictures", "arrays", "shards", "configs", "manifests", "clips"):
        (folder / part).mkdir(parents=True)
    for name, codec in FILMS.items():
        write_film(folder / "films" / name, codec)
    for kind in PICTURES:
        (folder / "pictures" / f"1{kind}").write_bytes(cv2.imencode(kind, noise[0])[1].tobytes())
    deep = cv2.imencode(".png", noise[0].astype(np.uint16) * 9)[1]
    (folder / "pictures" / "2.png").write_bytes(deep.tobytes())
    stack = cv2.imencodemulti(".tif", list(noise))[1]
    (folder / "films" / "stack.tif").write_bytes(stack.tobytes())
    np.save(folder / "arrays" / "a.npy", noise)
    np.save(folder / "arrays" / "b.npy", noise[..., 0].astype(np.uint16))
    np.savez(folder / "arrays" / "a.npz", frames=noise)
    np.savez_compressed(folder / "arrays" / "b.npz", video=np.asfortranarray(noise))
    scripts = {"a.m3u8": "#EXTM3U\n#EXTINF:1,\na.ts\n", "c.mp4": "ffconcat version 1.0\nfile a.mp4\n"}
    for name, text in scripts.items():
        (folder / "films" / name).write_text(text)
    for name, kind in (("a.tar", tarfile.PAX_FORMAT), ("b.tar", tarfile.GNU_FORMAT)):
        with tarfile.open(folder / "shards" / name, "w", format=kind) as tar:
            for film in sorted(FILMS)[:3]:
                tar.add(folder / "films" / film, f"{'long/' * 30}{film}")
    for number in range(4):
        write_film(folder / "clips" / f"{number}.mp4", "mpeg4", 16, 100 * number)
    scan(folder / "clips", out=folder / "manifests" / "m.json", workers=1, progress=False)
    (folder / "configs" / "c.yaml").write_text(yaml.safe_dump(to_dict(CONFIG)))
    train(folder / "manifests" / "m.json", out=folder / "run", config=CONFIG, progress=False, device="cpu")
    extract(folder / "run", folder / "manifests" / "m.json", out=folder / "store", progress=False, device="cpu")


def mutate(data: bytes, others: list[bytes], payloads: list[bytes], random: Random) -> bytes:
    """Mutate bytes: flips, odd numbers, parts removed, duplicated, or inserted from other inputs or payloads."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randrange(min(len(found), random.choice((64, 512, 10**9))) or 1)
        how = random.randrange(8)
        if how == 0 and found:
            found[at] ^= 1 << random.randrange(8)
        elif how == 1 and found:
            found[at] = random.randrange(256)
        elif how == 2:
            size, order = random.choice("BHIQ"), random.choice("<>")
            width = struct.calcsize(size)
            number = random.choice(NUMBERS) % 256**width
            found[at : at + width] = struct.pack(f"{order}{size}", number)
        elif how == 3:
            del found[at : at + random.choice((1, 4, 64, 10**9))]
        elif how == 4:
            found[at:at] = found[at : at + random.choice((1, 8, 512))]
        elif how == 5 and others:
            other = random.choice(others)
            begin = random.randrange(len(other) or 1)
            found[at : at + 64] = other[begin : begin + random.choice((4, 64, 4096))]
        elif how == 6:
            word = random.choice(payloads)
            found[at : at + random.choice((0, len(word)))] = word
        else:
            found[at:at] = bytes(random.choice((1, 7, 1000)))
    return bytes(found)


def mutate_plain(value: Any, payloads: list[bytes], random: Random) -> Any:
    """Insert an odd value into plain data, rename a field, or remove one."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        places = list(_places(value))
        if not places:
            return random.choice(VALUES)
        where, key = random.choice(places)
        how = random.randrange(6)
        if how == 0 and isinstance(where, dict):
            where[str(random.choice(VALUES))] = where.pop(key)
        elif how == 1:
            del where[key]
        elif how == 2 and isinstance(where[key], (int, float)):
            where[key] = random.choice((-1, 2, 10**9)) * where[key] + random.choice((0, 1, 0.5))
        elif how == 3:
            where[key] = random.choice(payloads).decode()
        elif how == 4:
            there, other = random.choice(places)
            if there is not where and other in (there if isinstance(there, dict) else range(len(there))):
                where[key] = copy.deepcopy(there[other])
        else:
            where[key] = copy.deepcopy(random.choice(VALUES))
    return value


def _places(value: Any) -> Any:
    """Yield (container, key) of everything in plain data; for long lists only of the beginning."""
    if isinstance(value, (dict, list)):
        keys = list(value)[:50] if isinstance(value, dict) else range(min(len(value), 8))
        for key in keys:
            yield value, key
            yield from _places(value[key])


def changed(path: Path, others: list[bytes], payloads: list[bytes], random: Random) -> bytes:
    """Return a file's mutated content: JSON and YAML are mutated by structure or by bytes."""
    data = path.read_bytes()
    if path.suffix in (".json", ".yaml") and random.random() < 0.7:
        value = mutate_plain(yaml.safe_load(data) if path.suffix == ".yaml" else json.loads(data), payloads, random)
        if path.suffix == ".json":
            return json.dumps(value).encode(errors="replace")
        return yaml.dump(value, allow_unicode=False).encode(errors="replace")
    return mutate(data, others, payloads, random)


def copy_of(folder: Path, to: Path) -> Path:
    """Copy a folder without its modification times."""
    return Path(shutil.copytree(folder, to, copy_function=shutil.copyfile))
