"""A multi-page TIFF is a video."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from helpers.painted import read_numbers
from helpers.picture_folders import pictures, quick, seen, write_stack

from seqff.video import open_video


def test_stacks_of_pages_are_videos(tmp_path: Path) -> None:
    """A TIFF of several pages is a video, beside others and among single pages; a cut one ends before the damage."""
    root = tmp_path / "v"
    root.mkdir()
    for number in (1, 2):
        write_stack(root / f"stack_{number}.tif", 4 + number)
    data = (root / "stack_2.tif").read_bytes()
    pictures(root / "single", ["1.tif", "2.tif", "3.tif"])
    found = quick(root, tmp_path / "m.json")
    assert seen(found) == {"single": [0, 1, 2], "stack_1.tif": [*range(5)], "stack_2.tif": [*range(6)]}
    assert {entry.status for entry in found} == {"ok"}
    with open_video(root / "stack_1.tif", size=(24, 32)) as video:
        assert read_numbers(video.at([4, 0, 4])) == [4, 0, 4]
    (root / "cut.tif").write_bytes(data[: len(data) * 2 // 3])
    cut = next(entry for entry in quick(root, tmp_path / "m.json") if entry.path == "cut.tif")
    assert (cut.status, cut.frames) in {("damaged", frames) for frames in (2, 3, 4)}


@pytest.mark.parametrize("big", [False, True])
def test_small_copies_inside_a_tiff_are_no_frames(tmp_path: Path, big: bool) -> None:
    """A picture with a thumbnail in the same file is one picture, in TIFF and BigTIFF."""
    for number in range(3):
        (tmp_path / f"{number}.tif").write_bytes(tiff([0, 1], number, big=big))
    (tmp_path / "many.tif").write_bytes(tiff([0, 1, 0, 4, 2], 7, big=big))
    found = quick(tmp_path, tmp_path / "m.json")
    assert {entry.path: entry.frames for entry in found} == {"%d.tif": 3, "many.tif": 3}


def tiff(kinds: list[int], level: int, *, big: bool) -> bytes:
    """A TIFF of 8 x 8 grey pages of these kinds (1: a smaller copy, 2: a page, 4: a mask)."""
    data = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16 + 64) if big else struct.pack("<2sHI", b"II", 42, 8 + 64)
    where, size = len(data), "Q" if big else "I"
    data += bytes([10 * level]) * 64
    for place, kind in enumerate(kinds):
        tags = [
            (254, kind),
            (256, 8),
            (257, 8),
            (258, 8),
            (259, 1),
            (262, 1),
            (273, where),
            (277, 1),
            (278, 8),
            (279, 64),
        ]
        entries = b"".join(struct.pack(f"<HH{size}{size}", tag, 4, 1, value) for tag, value in tags)
        head = struct.pack("<Q" if big else "<H", len(tags))
        after = len(data) + len(head) + len(entries) + struct.calcsize(f"<{size}")
        data += head + entries + struct.pack(f"<{size}", after if place + 1 < len(kinds) else 0)
    return data
