"""Pixels: shape, depth, transparency and interlacing, the same in every reader."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from helpers.painted import has_encoder, paint, read_numbers, write_painted

from seqff.errors import VideoError
from seqff.online import open_live
from seqff.video import Manifest, VideoEntry, open_video, scan
from seqff.video.decord_reader import decord_available
from seqff.video.examine import examine
from seqff.video.levels import deep, levels_of
from seqff.video.torchcodec_reader import torchcodec_available

TALL = (96, 64)  # (height, width) px of frames whose pixels are 2:1
OTHERS = [
    pytest.param("decord", marks=pytest.mark.skipif(not decord_available(), reason="decord is not installed")),
    pytest.param(
        "torchcodec", marks=pytest.mark.skipif(not torchcodec_available(), reason="torchcodec is not installed")
    ),
]


def disc(height: int, width: int, radius: float) -> np.ndarray:
    """Draws a light disc that fills the same share of the height as of the width, uint8 (height, width, 3)."""
    down, right = np.mgrid[:height, :width]
    inside = ((down + 0.5) / height - 0.5) ** 2 + ((right + 0.5) / width - 0.5) ** 2 < radius**2
    return np.repeat(np.where(inside, 210, 40).astype(np.uint8)[:, :, None], 3, axis=2)


def sides(frame: np.ndarray) -> tuple[int, int]:
    """Measures the light thing in a frame, (height, width) px."""
    light = frame.mean(axis=2) > 125
    return int(light.any(axis=1).sum()), int(light.any(axis=0).sum())


def write(path: Path, images: Sequence[np.ndarray], *, codec: str = "libx264", pixels: str = "yuv420p",
          given: str = "rgb24", options: dict[str, str] | None = None, shape: Fraction | None = None,
          rotation: float | None = None, streams: int = 1) -> Path:  # fmt: skip
    """Writes a clip of images in the pixel format `given`, with pixels of a shape."""
    with av.open(str(path), "w") as container:
        made: list[Any] = [container.add_stream(codec, rate=25, options=options or {}) for _ in range(streams)]
        for stream in made:
            stream.height, stream.width, stream.pix_fmt = *images[0].shape[:2], pixels
            stream.codec_context.gop_size, stream.codec_context.thread_count = 4, 1
            if shape is not None:
                stream.codec_context.sample_aspect_ratio = shape
            if rotation is not None:
                stream.set_display_rotation(rotation)
        for image in images:
            for stream in made:
                frame = av.VideoFrame.from_ndarray(image, format=given).reformat(format=pixels)
                container.mux(stream.encode(frame))
        for stream in made:
            container.mux(stream.encode(None))
    return path


def write_deep(path: Path, pixels: str, images: Iterable[np.ndarray]) -> Path:
    """Writes FFV1 whose samples are exactly those of uint16 images (48, 64), the same in every channel."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.pix_fmt, (stream.height, stream.width) = pixels, (48, 64)
        for image in images:
            frame = av.VideoFrame(image.shape[1], image.shape[0], pixels)
            how = deep(pixels)
            rows = np.repeat(image, 1 if how.planar else how.channels, axis=1).astype(how.dtype)
            for plane in frame.planes:
                plane.update(np.pad(rows, ((0, 0), (0, plane.line_size // 2 - rows.shape[1]))).tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def twelve(number: int, greatest: int = 4095) -> np.ndarray:
    """Paints a number in samples up to `greatest`, uint16 (48, 64): dark 40 / 255 of it, light 210 / 255."""
    return np.rint(paint(number)[:, :, 0] * (greatest / 255)).astype(np.uint16)


def first(path: Path, entry: VideoEntry | None = None) -> np.ndarray:
    """Reads the first frame."""
    with open_video(path, entry=entry) as video:
        return video.at([0])[0]


def assert_painted(path: Path, entry: VideoEntry | None = None) -> None:
    """The frames carry their numbers, dark 40 and light 210."""
    with open_video(path, entry=entry) as video:
        frames = video.clip(0, video.info.frames)
    assert read_numbers(frames) == list(range(len(frames)))
    assert abs(int(frames.min()) - 40) <= 1
    assert abs(int(frames.max()) - 210) <= 1


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "libx264"), ("a.mkv", "libx264"), ("a.mov", "mpeg4")],
)
def test_pixels_that_are_not_square_are_made_square(tmp_path: Path, name: str, codec: str) -> None:
    """A disc stored with pixels twice as wide as high is a disc again; manifest and frames have its real shape."""
    path = write(tmp_path / name, [disc(*TALL, 0.4)] * 6, codec=codec, shape=Fraction(2))
    entry = examine(path)
    assert (entry.height, entry.width, entry.sample_aspect_ratio, entry.stored_size) == (96, 128, (2, 1), TALL)
    assert "pixels of 2:1 made square" in entry.cause
    high, wide = sides(first(path))
    assert abs(high - 77) <= 2
    assert abs(wide - 102) <= 2


@pytest.mark.parametrize("reader", OTHERS)
def test_other_readers_make_pixels_square_too(tmp_path: Path, reader: str) -> None:
    """decord and torchcodec show what PyAV shows."""
    path = write(tmp_path / "a.mp4", [disc(*TALL, 0.4)] * 6, shape=Fraction(2), options={"bf": "0"})
    with open_video(path) as ours, open_video(path, reader=reader) as theirs:
        assert np.abs(ours.at([3]).astype(int) - theirs.at([3]).astype(int)).mean() < 4
        assert theirs.info.width == 128


def test_narrow_and_turned_pixels(tmp_path: Path) -> None:
    """The height as stored is kept; a turn comes after; live streams do the same."""
    narrow = examine(write(tmp_path / "a.mp4", [disc(48, 72, 0.4)] * 3, shape=Fraction(8, 9)))
    assert (narrow.height, narrow.width) == (48, 64)
    turned = write(tmp_path / "b.mp4", [disc(*TALL, 0.4)] * 3, shape=Fraction(2), rotation=90)
    entry = examine(turned)
    assert (entry.height, entry.width) == (128, 96)
    assert first(turned).shape == (128, 96, 3)
    with open_live(turned) as live:
        assert next(live).image.shape == (128, 96, 3)


def test_nearly_square_and_absurd_pixels_stay(tmp_path: Path) -> None:
    """What rounding gives is no shape, and nobody believes 1:50; that is said."""
    near = examine(write(tmp_path / "a.mp4", [disc(48, 64, 0.4)] * 3, shape=Fraction(201, 200)))
    assert (near.width, near.cause[:24], near.sample_aspect_ratio) == (64, "hardly changes: no point", (1, 1))
    absurd = examine(write(tmp_path / "b.mp4", [disc(48, 64, 0.4)] * 3, shape=Fraction(1, 50)))
    assert absurd.width == 64
    assert "1:50 are not believed" in absurd.cause


@pytest.mark.parametrize(
    ("pixels", "greatest", "levels"),
    [
        ("gray16le", 4095, (0, 4095)),
        ("gray16le", 16383, (0, 16383)),
        ("gray16le", 65535, (0, 65535)),
        ("gray16le", 255, (0, 255)),
        ("gray12le", 1023, (0, 1023)),
        ("gray12le", 4095, (0, 4095)),
        ("rgb48le", 4095, (0, 4095)),
        ("gbrp14le", 4095, (0, 4095)),
    ],
)
def test_deep_video_is_scaled_by_the_depth_that_is_used(
    tmp_path: Path, pixels: str, greatest: int, levels: tuple[int, int]
) -> None:
    """A sensor's 12 bits in 16 are as bright as 12 bits, and so are 8, 10 and 14; cuts and stills are found alike."""
    path = write_deep(tmp_path / "a.mkv", pixels, [twelve(number, greatest) for number in range(6)])
    entry = examine(path)
    assert (entry.status, entry.levels) == ("ok", levels)
    assert_painted(path)
    assert len(entry.still_pairs) == 0


@pytest.mark.parametrize("ending", [".tif", ".png", ".npy"])
def test_deep_pictures_are_scaled_the_same(tmp_path: Path, ending: str) -> None:
    """Numbered TIFFs and PNGs of 12 bits in 16, and uint16 arrays, are as bright as 12 bits."""
    images = [twelve(number) for number in range(6)]
    path = tmp_path / "frames.npy"
    if ending == ".npy":
        np.save(path, np.stack(images))
    else:
        path = tmp_path / "pictures"
        path.mkdir()
        for number, image in enumerate(images):
            cv2.imwrite(str(path / f"{number:03}{ending}"), image)
    entry = examine(path)
    assert (entry.status, entry.bits, entry.samples) == ("ok", 16, (642, 3372))
    assert "642 to 3372 in 16 bits" in entry.depth_remark
    assert_painted(path)


@pytest.mark.parametrize("alpha", [False, True])
def test_stacks_of_pages_are_scaled_and_composed_the_same(tmp_path: Path, alpha: bool) -> None:
    """A TIFF of several pages of 12 bits in 16 is as bright as its pages one by one; the manifest counts them."""
    pages = [twelve(number) for number in range(5)]
    if alpha:
        pages = [np.dstack([page, page, page, np.full_like(page, 65535)]) for page in pages]
    cv2.imwritemulti(str(tmp_path / "stack.tif"), pages)
    entry = examine(tmp_path / "stack.tif")
    assert (entry.status, entry.frames, entry.pages, entry.levels) == ("ok", 5, 5, (0, 4095))
    assert_painted(tmp_path / "stack.tif")


def test_levels_are_a_setting_of_the_scan_that_the_manifest_keeps(tmp_path: Path) -> None:
    """`--video.levels`: by the depth used, as declared, the range of each video, or given; no decoding anew."""
    from seqff.config import VideoConfig

    write_deep(tmp_path / "a.mkv", "gray16le", [twelve(number) for number in range(6)])
    out = tmp_path / "m.json"

    def dark_and_light(video: VideoConfig | None = None) -> tuple[int, int]:
        manifest = scan(tmp_path / "a.mkv", out=out, workers=1, progress=False, video=video)
        frame = first(manifest.path(manifest.entries[0]), manifest.entries[0])
        return int(frame.min()), int(frame.max())

    assert dark_and_light() == (40, 40)  # number 0 is all dark
    assert dark_and_light(VideoConfig(levels="range")) == (0, 0)
    assert dark_and_light() == (0, 0)
    assert dark_and_light(VideoConfig(levels="0-1284")) == (128, 128)
    assert max(dark_and_light(VideoConfig(levels="declared"))) <= 3
    assert Manifest.load(out).levels == "declared"
    with pytest.raises(ValueError, match="used, declared, range, or two samples"):
        dark_and_light(VideoConfig(levels="12"))


def test_levels() -> None:
    """The depth is the least that sensors have and that holds the greatest sample."""
    assert [levels_of((0, top))[1] for top in (200, 256, 1024, 4095, 4096, 65535)] == [
        255, 1023, 4095, 4095, 16383, 65535,
    ]  # fmt: skip
    assert levels_of((0, 0)) == levels_of((5, 900), how="declared") == (0, 0)
    assert levels_of((0, 400), bits=9) == (0, 511)
    assert levels_of((5, 900), how="range") == (5, 900)


def test_camera_video_of_ten_bits_keeps_its_declared_depth(tmp_path: Path) -> None:
    """A dark scene in 10-bit YUV stays dark: cameras use the depth they declare."""
    path = write(tmp_path / "a.mkv", [paint(number) // 4 for number in range(4)], codec="ffv1", pixels="yuv420p10le")
    entry = examine(path)
    assert (entry.bits, entry.levels) == (10, (0, 0))
    assert abs(int(first(path).max()) - 10) <= 1


def see_through(number: int) -> np.ndarray:
    """Paints a number whose left half is transparent, uint8 (48, 64, 4)."""
    image = np.dstack([paint(number), np.full((48, 64), 255, np.uint8)])
    image[:, :32, 3] = 0
    return image


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mov", "png", "rgba"),
        ("a.avi", "rawvideo", "bgra"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.mkv", "ffv1", "gbrap12le"),
    ],
)
def test_transparent_parts_are_black(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    """What a transparent pixel hides is not shown, and the manifest says that there are such."""
    if codec == "ffv1" and pixels == "gbrap12le" and deep(pixels) is None:
        pytest.skip("unknown to this FFmpeg")
    path = write(tmp_path / name, [see_through(n) for n in range(4)], codec=codec, pixels=pixels, given="rgba")
    entry, frame = examine(path), first(path)
    assert (entry.status, entry.alpha) == ("ok", True)
    assert "composed on black" in entry.cause
    assert int(frame[:, :31].max()) <= 1
    assert abs(int(frame[:, 33:].min()) - 40) <= 2
    if torchcodec_available():
        with pytest.raises(VideoError, match="does not compose"):
            open_video(path, reader="torchcodec")


def test_opaque_frames_of_formats_with_alpha_are_plain(tmp_path: Path) -> None:
    """A format with room for transparency is no transparency."""
    opaque = [np.dstack([paint(n), np.full((48, 64), 255, np.uint8)]) for n in range(4)]
    path = write(tmp_path / "a.mov", opaque, codec="png", pixels="rgba", given="rgba")
    entry = examine(path)
    assert (entry.alpha, entry.cause) == (False, "")
    assert_painted(path)


@pytest.mark.parametrize("depth", [8, 16])
def test_transparent_pictures_are_black(tmp_path: Path, depth: int) -> None:
    """The same of numbered PNGs, of 8 and 16 bits."""
    for number in range(3):
        image = see_through(number + 12).astype(np.uint16) * (257 if depth == 16 else 1)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image.astype(f"uint{depth}"))
    entry, frame = examine(tmp_path), first(tmp_path)
    assert (entry.status, entry.alpha) == ("ok", True)
    assert int(frame[:, :32].max()) == 0
    assert abs(int(frame[:, 32:].min()) - 40) <= 1


@pytest.mark.skipif(not has_encoder("libvpx-vp9"), reason="no VP9 encoder")
def test_transparency_that_the_decoder_leaves_out_is_said(tmp_path: Path) -> None:
    """FFmpeg's VP9 decoder does not give the alpha of WebM."""
    options = {"deadline": "realtime", "cpu-used": "8"}
    images = [see_through(n) for n in range(4)]
    entry = examine(write(tmp_path / "a.webm", images, codec="libvpx-vp9", pixels="yuva420p", given="rgba",
                          options=options))  # fmt: skip
    assert "leaves out" in entry.cause or "composed on black" in entry.cause


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [("libx264", "a.mp4", {"x264-params": "tff=1"}), ("mpeg2video", "a.ts", {"flags": "+ildct+ilme"})],
)
def test_interlaced_video_is_said(tmp_path: Path, codec: str, name: str, options: dict[str, str]) -> None:
    """Frames of two fields are named with their number; others have no such remark."""
    entry = examine(write_painted(tmp_path / name, frames=6, codec=codec, options=options))
    plain = examine(write_painted(tmp_path / f"plain_{name}", frames=6, codec=codec))
    assert (entry.interlaced, plain.interlaced) == (True, False)
    assert "interlaced (6 of 6 frames)" in entry.cause


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_several_video_streams_are_said(tmp_path: Path, name: str) -> None:
    """The manifest counts the streams, and one is read."""
    path = write(tmp_path / name, [paint(n) for n in range(4)], streams=2)
    entry = examine(path)
    assert entry.video_streams == 2
    assert "2 video streams; that of 64x48 px is read" in entry.cause
    assert_painted(path)


def test_dull_videos_get_a_remark(tmp_path: Path) -> None:
    """Nearly black, nearly constant and unchanging ones are sound, and said, as videos and as arrays."""
    black = examine(write(tmp_path / "a.mp4", [paint(n) // 16 for n in range(4)]))
    assert (black.status, "nearly black" in black.cause) == ("ok", True)
    grey = examine(write(tmp_path / "b.mp4", [np.full((48, 64, 3), 100 + n, np.uint8) for n in range(4)]))
    assert (grey.status, "nearly constant" in grey.cause) == ("ok", True)
    still = examine(write(tmp_path / "c.mkv", [paint(9)] * 4, codec="ffv1"))
    assert "hardly changes" in still.cause
    blue = [paint(n) * np.uint8([0, 0, 1]) for n in range(4)]
    assert examine(write(tmp_path / "blue.mkv", blue, codec="ffv1", pixels="bgr0")).cause == ""
    np.save(tmp_path / "d.npy", np.stack([paint(n) // 16 for n in range(4)]))
    assert "nearly black" in examine(tmp_path / "d.npy").cause


def test_a_pixel_shape_that_changes_is_said(tmp_path: Path) -> None:
    """Broadcasts change between 4:3 and 16:9; the first shape is kept."""
    parts = [write(tmp_path / f"{n}.ts", [paint(n)] * 8, codec="mpeg2video", shape=Fraction(n, 9)) for n in (9, 12)]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    entry = examine(both)
    assert entry.width == 64
    assert "changes the shape of its pixels" in entry.cause


def grown(data: bytes, path: Sequence[bytes], skips: Sequence[int], box: bytes) -> bytes:
    """Appends a box inside nested boxes of an MP4, which all grow by it."""
    if not path:
        return data + box
    at = 0
    while data[at + 4 : at + 8] != path[0]:
        at += struct.unpack(">I", data[at : at + 4])[0]
    size = struct.unpack(">I", data[at : at + 4])[0]
    inside, skip = data[at + 8 : at + size], skips[0]
    changed = inside[:skip] + grown(inside[skip:], path[1:], skips[1:], box)
    return data[:at] + struct.pack(">I4s", 8 + len(changed), path[0]) + changed + data[at + size :]


def test_what_an_mp4_hides_at_the_edges_is_cropped(tmp_path: Path) -> None:
    """A clean aperture (clap) leaves out what players do not show, and the manifest has it."""
    framed = [np.pad(paint(n), ((8, 8), (16, 0), (0, 0)), constant_values=255) for n in range(4)]
    path = write(tmp_path / "a.mp4", framed)
    clap = struct.pack(">I4s8i", 40, b"clap", 64, 1, 48, 1, 16, 2, 0, 1)
    boxes = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"]
    path.write_bytes(grown(path.read_bytes(), boxes, [0, 0, 0, 0, 0, 8, 78], clap))
    entry = examine(path)
    assert (entry.status, entry.crop, entry.height, entry.width) == ("ok", (16, 8, 0, 8), 48, 64)
    assert_close_to_painted(path)


def test_what_a_matroska_hides_at_the_edges_is_cropped(tmp_path: Path) -> None:
    """PixelCrop does the same; here it takes the place of the colors' description in the file."""
    framed = [np.pad(paint(n), ((8, 8), (16, 0), (0, 0)), constant_values=255) for n in range(4)]
    path = tmp_path / "a.mkv"
    write(path, framed, options={"color_range": "tv", "colorspace": "bt709", "color_trc": "bt709"})
    data = path.read_bytes()
    at = data.index(b"\x55\xb0", data.rindex(b"\x16\x54\xae\x6b"))
    room = 3 + (data[at + 2] & 0x7F)
    crops = b"\x54\xcc\x81\x10\x54\xbb\x81\x08\x54\xaa\x81\x08"
    filled = crops + b"\xec" + bytes([0x80 | room - len(crops) - 2]) + bytes(room - len(crops) - 2)
    path.write_bytes(data[:at] + filled + data[at + room :])
    entry = examine(path)
    assert (entry.status, entry.crop, entry.height, entry.width) == ("ok", (16, 8, 0, 8), 48, 64)
    assert_close_to_painted(path)


def assert_close_to_painted(path: Path) -> None:
    """The frames carry their numbers and nothing of the white around them."""
    with open_video(path) as video:
        frames = video.clip(0, video.info.frames)
    assert read_numbers(frames) == list(range(len(frames)))
    assert int(frames[0][2:-2, 2:-2].max()) < 100
