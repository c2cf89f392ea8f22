"""Untrusted arrays and images: false header claims allocate nothing and end in one line."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.painted import paint, read_numbers

from seqff.errors import VideoError
from seqff.video import open_video, scan
from seqff.video.examine import examine
from seqff.video.image_headers import check_pixels

ROOT = Path(__file__).resolve().parents[2]
MEASURE = (
    "import resource, sys, pathlib; from seqff.video.examine import examine; import cv2\n"
    "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
    "entry = examine(pathlib.Path(sys.argv[1]))\n"
    "print(entry.status, entry.frames, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    "print(entry.cause)"
)


def measured(path: Path) -> tuple[str, int, int, str]:
    """Status, frames, MB taken and cause of a file, examined by a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    (status, frames, megabytes), cause = done.stdout.split("\n")[0].split(), done.stdout.split("\n")[1]
    return status, int(frames), int(megabytes), cause


def header(shape: object, descr: str = "|u1", fortran: object = False) -> bytes:
    """The header of a .npy that claims this."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n"


@pytest.mark.parametrize(
    "head",
    [
        header("(-5, 64, 64)"), header("(5, -64, -64)"), header("(5, 64, -64, 3)"), header("(0, 4, 4)"),
        header(f"({2**62}, 64, 64)"), header("(10**30, 64, 64)"), header(f"({10**30}, 64, 64, 3)"),
        header("(True, 4, 4)"), header("(5, 70000, 70000)"), header("5"), header("()"), header("((((" * 400),
        header("(5, 4, 4)", "|O"), header("(5, 4, 4)", "<U9999999"), header("(5, 4, 4)", "not a type"),
        header("(5, 4, 4)", fortran="5"), b"\x93NUMPY\1\0\xff\xff{", b"\x93NUMPY\7\0", b"", b"\x93NUM",
        b"\x93NUMPY\2\0\xff\xff\xff\xff", header("[5, 4, 4]"), header("(5.5, 4, 4)"), header("(5, 4, 4"),
    ],
    ids=lambda head: repr(head[10:60]),
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_headers_of_arrays(tmp_path: Path, head: bytes, packed: bool) -> None:
    """Negative, absurd and broken shapes are no array of frames: one line, in the scan and in reading."""
    path = tmp_path / ("a.npz" if packed else "a.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("frames.npy", head + bytes(5 * 4 * 4 - 1))
    else:
        path.write_bytes(head + bytes(5 * 4 * 4 - 1))
    entry = examine(path)
    assert (entry.status, entry.frames) == ("unreadable", 0)
    assert entry.cause
    assert "\n" not in entry.cause
    with pytest.raises(VideoError):
        open_video(path)


def bomb(path: Path, shape: tuple[int, ...], *, fortran: bool = False, blocks: int = 10**9) -> Path:
    """A .npz that unpacks to zeros of this shape, or to as many blocks of 16 MiB as are told."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("frames.npy", "w") as file:
        file.write(header(str(shape), fortran=fortran))
        left = min(int(np.prod(shape)), blocks * 2**24)
        while left:
            left -= file.write(bytes(min(left, 2**24)))
    return path


@pytest.mark.parametrize(
    ("shape", "fortran", "blocks", "status"),
    [((96, 2048, 2048), False, 10**9, "ok"), ((600, 4096, 4096), True, 4, "unreadable"),
     ((10**7, 4096, 4096), False, 2, "unreadable"), ((40, 4096, 4096), True, 2, "unreadable")],
)  # fmt: skip
def test_packed_arrays_are_unpacked_frame_by_frame(
    tmp_path: Path, shape: tuple[int, ...], fortran: bool, blocks: int, status: str
) -> None:
    """A small archive of much takes the memory of a few of its frames; one that lies about it takes none."""
    path = bomb(tmp_path / "a.npz", shape, fortran=fortran, blocks=blocks)
    found = measured(path)
    assert (found[0], found[2] < 250) == (status, True), found


def test_unpacking_gives_signs_of_life(tmp_path: Path) -> None:
    """Whoever waits for an archive to be unpacked hears of it again and again."""
    beats: list[int] = []
    path = bomb(tmp_path / "a.npz", (4, 4096, 4096))
    examine(path, heartbeat=lambda: beats.append(1))
    assert len(beats) > 12


@pytest.mark.parametrize("order", ["C", "F"])
def test_packed_frames_are_the_frames(tmp_path: Path, order: str) -> None:
    """Frames out of an archive are the right ones in any order of reading, however they lie in it."""
    frames = np.asarray(np.stack([paint(number) for number in range(9)]), order=order)
    np.savez_compressed(tmp_path / "a.npz", frames=frames)
    with open_video(tmp_path / "a.npz") as video:
        assert read_numbers(video.at([8, 0, 3, 3, 1])) == [8, 0, 3, 3, 1]
        assert read_numbers(video.clip(2, 5)) == [2, 3, 4]


@pytest.mark.parametrize("harm", ["cut", "flip", "password", "method", "none", "two"])
def test_archives_that_cannot_be_read(tmp_path: Path, harm: str) -> None:
    """Damaged, locked and foreign archives are unreadable, in one line."""
    path = tmp_path / "a.npz"
    names = ("frames", "other") if harm == "two" else ("frames",)
    np.savez_compressed(path, **{f"{name}x" * (harm == "two") or name: np.stack([paint(0)] * 3) for name in names})
    data = bytearray(path.read_bytes())
    if harm == "cut":
        del data[len(data) // 2 :]
    elif harm == "flip":
        data[len(data) // 3] ^= 255
    elif harm == "none":
        data = bytearray(b"PK\5\6" + bytes(18))
    elif harm in ("password", "method"):
        for sign, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            at = data.index(sign) + place + (2 if harm == "method" else 0)
            data[at : at + 2] = struct.pack("<H", 97 if harm == "method" else data[at] | 1)
    path.write_bytes(data)
    entry = examine(path)
    assert (entry.status, "\n" in entry.cause, bool(entry.cause)) == ("unreadable", False, True)


def png(width: int, height: int) -> bytes:
    """A small PNG, all zeros, that is whole and claims this size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    pack = zlib.compressobj(9)
    row = bytes(1 + width * 3)
    rows = b"".join(pack.compress(row) for _ in range(min(height, 50))) + pack.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )  # fmt: skip


def coded(kind: str) -> bytes:
    """A small picture, 24 x 32 px."""
    return cv2.imencode(kind, paint(3, (24, 32)))[1].tobytes()


def grown(kind: str) -> bytes:
    """The same picture, whose header claims 30 000 x 30 000 px."""
    data, side = bytearray(coded(kind)), 30_000
    if kind == ".jpg":
        at = next(n for n in range(len(data)) if data[n] == 0xFF and data[n + 1] == 0xC0)
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    elif kind == ".bmp":
        data[18:26] = struct.pack("<ii", side, -side)
    elif kind == ".ppm":
        data = bytearray(data.replace(b"32 24", b"# a note\n30000\n30000"))
    elif kind == ".webp":
        data = bytearray(b"RIFF" + struct.pack("<I", 1000) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4))
        data += (side - 1).to_bytes(3, "little") * 2 + bytes(100)
    elif kind == ".tiff":
        (at,) = struct.unpack("<I", data[4:8])
        for place in range(at + 2, at + 2 + 12 * struct.unpack("<H", data[at : at + 2])[0], 12):
            if struct.unpack("<H", data[place : place + 2])[0] in (256, 257):
                data[place + 2 : place + 12] = struct.pack("<HII", 4, 1, side)
    else:
        return png(side, side)
    return bytes(data)


KINDS = [".png", ".jpg", ".bmp", ".ppm", ".webp", ".tiff"]


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_obey_the_limit_that_videos_obey(tmp_path: Path, kind: str) -> None:
    """Small pictures that claim 900 megapixels take no memory, and are named."""
    for number in range(3):
        (tmp_path / f"{number}{kind}").write_bytes(grown(kind))
    status, frames, megabytes, cause = measured(tmp_path)
    assert (status, frames) == ("unreadable", 0)
    assert megabytes < 200
    assert "30000 x 30000" in cause


@pytest.mark.parametrize("kind", [*KINDS, ".gif"])
def test_sizes_of_sound_pictures(kind: str) -> None:
    """Nothing sound is refused."""
    check_pixels(coded(kind))


def test_what_is_no_picture(tmp_path: Path) -> None:
    """Other kinds that OpenCV would decode by their first bytes, under whatever name, are refused as such."""
    exr = b"\x76\x2f\x31\x01" + bytes(100)
    for data in (exr, b"#?RADIANCE\n", b"\0\0\0\x0cjP  \r\n\x87\n", b"", b"\xff\xd8", b"P7 332", b"P6", b"II*\0"):
        (tmp_path / "1.png").write_bytes(data)
        (tmp_path / "2.png").write_bytes(data)
        assert examine(tmp_path).status == "unreadable"


def test_pages_of_a_stack_obey_it_too(tmp_path: Path) -> None:
    """A TIFF of several pages, one of which claims too much, is refused before it is decoded."""
    whole, pages = cv2.imencodemulti(".tiff", [paint(n, (24, 32)) for n in range(3)])
    assert whole
    data = bytearray(pages.tobytes())
    (tmp_path / "sound.tif").write_bytes(data)
    assert (examine(tmp_path / "sound.tif").status, examine(tmp_path / "sound.tif").frames) == ("ok", 3)
    last = [n for n in range(len(data) - 12) if data[n : n + 8] == struct.pack("<HHI", 256, 3, 1)][-1]
    data[last : last + 12] = struct.pack("<HHII", 256, 4, 1, 2**31)
    (tmp_path / "a.tif").write_bytes(data)
    status, frames, megabytes, cause = measured(tmp_path / "a.tif")
    assert (status, frames, megabytes < 200, "px" in cause) == ("unreadable", 0, True, True)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "3.tif", "3.png", "a.mp4", "noending"])
def test_pipes_and_devices_among_videos(tmp_path: Path, name: str) -> None:
    """A scan of a folder with a pipe, or with a link to a device, ends by itself."""
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(coded(".png"))
    os.mkfifo(tmp_path / name)
    done: list[object] = []

    def look() -> None:
        done.append(scan(tmp_path, out=tmp_path / "m.json", max_bad=1, workers=1, progress=False))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(60)
    assert done, "the scan hangs"
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    found = scan(tmp_path, out=tmp_path / "m.json", max_bad=1, workers=1, progress=False)
    assert all(entry.frames <= 3 for entry in found)


def test_a_growing_folder_reads_no_pipes(tmp_path: Path) -> None:
    """Pictures that are pipes or devices are passed over with a word, as are those that claim too much."""
    from seqff.video.images import load_samples

    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to("/dev/zero")
    (tmp_path / "3.png").write_bytes(png(30_000, 30_000))
    for name in ("1.png", "2.png", "3.png"):
        with pytest.raises((OSError, ValueError)):
            load_samples(tmp_path / name)


def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    """What lies deeper than one array is nothing here."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("frames.npy", header("(5, 4, 4)") + bytes(80))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("inner.npz", inner.getvalue())
    assert examine(tmp_path / "a.npz").status == "unreadable"
