"""Times: counted from the first frame in every container, and repaired if a file's own are unusable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.bytes_of import remux
from helpers.painted import count_wrong, read_numbers, write_painted

from seqff.features.sampling import Sampling
from seqff.online import open_live
from seqff.video import open_video
from seqff.video.examine import examine
from seqff.video.timestamps import PARTS, repaired

STEADY = list(range(0, 4000, 40))
LATE = [20_000 + 40 * n for n in range(30)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv", "a.ts", "a.mov", "a.avi"])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_times_count_from_the_first_picture(tmp_path: Path, name: str, b_frames: int) -> None:
    """Whatever a container's clock says, the first picture is at 0 s, and the n-th as much later as players show it."""
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    entry = examine(write_painted(tmp_path / name, frames=30, codec=codec, b_frames=b_frames))
    assert (entry.status, entry.cause, entry.variable_rate) == ("ok", "", False)
    np.testing.assert_allclose(entry.times_seconds, np.arange(30) / 25, atol=0.0011)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", {}),
        ("a.ts", {}),
        ("a.flv", {}),
        ("a.mp4", {}),
        ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ],
)
def test_a_video_that_begins_late_counts_from_its_first_picture(
    tmp_path: Path, name: str, options: dict[str, str]
) -> None:
    """A start of 20 s, as of a fragment or beside sound, is no part of any time: labels count from the picture."""
    entry = examine(write_painted(tmp_path / name, milliseconds=LATE, frames=30, container_options=options))
    np.testing.assert_allclose(entry.times_seconds, np.arange(30) / 25, atol=0.0011)
    assert Sampling(every_seconds=0.2).frames(entry).tolist() == list(range(0, 30, 5))


def test_a_video_later_than_its_sound(tmp_path: Path) -> None:
    """Of a file whose sound begins 1.6 s before its pictures, times count from the first picture all the same."""
    silent = write_painted(tmp_path / "a.mp4", frames=20)
    with av.open(str(silent)) as given, av.open(str(tmp_path / "late.mkv"), "w") as made:
        copy = made.add_stream_from_template(given.streams.video[0])
        sound = made.add_stream("mp2", rate=32000)
        for number in range(100):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152 * sound.channels), np.int16), layout=sound.layout.name)
            frame.sample_rate, frame.pts = 32000, 1152 * number
            made.mux(sound.encode(frame))
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts + 20480, packet.dts + 20480, copy
                made.mux(packet)
    entry = examine(tmp_path / "late.mkv")
    assert (entry.status, entry.frames) == ("ok", 20)
    np.testing.assert_allclose(entry.times_seconds, np.arange(20) / 25, atol=0.0011)


def test_a_live_source_counts_from_its_first_picture(tmp_path: Path) -> None:
    """A transport stream read as it comes begins at 0 s, not at its clock's 1.4 s."""
    with open_live(write_painted(tmp_path / "a.ts", frames=10)) as stream:
        seconds = [frame.time_seconds for frame in stream]
    np.testing.assert_allclose(seconds, np.arange(10) / 25, atol=1e-4)


def _replaced(times: list[int], **new: int | None) -> list[int | None]:
    return [new.get(f"at_{n}", time) for n, time in enumerate(times)]


@pytest.mark.parametrize(
    "times",
    [
        _replaced(STEADY, at_35=STEADY[34]),
        _replaced(STEADY, at_35=5),
        _replaced(STEADY, at_35=9_000),
        _replaced(STEADY, at_35=10**9, at_36=10**9 + 40),
        _replaced(STEADY, at_0=90_000),
        _replaced(STEADY, at_99=0),
        _replaced(STEADY, at_99=STEADY[98]),
        _replaced(STEADY, at_0=None, at_1=None, at_50=None),
        STEADY[:50] + STEADY[:50],
        STEADY[:20] + [time + 10**8 for time in STEADY[:60]] + STEADY[:20],
        STEADY[:30] + [time - 1000 for time in STEADY[30:]],
        [None] * 100,
    ],
)
def test_mending_gives_back_a_steady_clock(times: list[int | None]) -> None:
    """Of a steady clock with bad times, holes, restarts and jumps, each said, the steady clock is made again."""
    parts, said = repaired(times, usual=40, most=60_000)
    assert (parts / PARTS).tolist() == STEADY
    assert said


def test_repaired_times_always_grow() -> None:
    """Whatever the times, the repaired ones begin at 0 and grow."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        times = [int(t) if t > 200 else None for t in rng.integers(0, rng.integers(300, 10**6), rng.integers(2, 60))]
        parts, _ = repaired(times, usual=rng.uniform(0.01, 100), most=10_000)
        assert len(parts) == len(times)
        assert parts[0] == 0
        assert (np.diff(parts) > 0).all()


def test_one_bad_time_costs_one_time(tmp_path: Path) -> None:
    """Of a file with holes, in which one frame bears the time of another, all other times stay; it is said."""
    source = write_painted(tmp_path / "a.mkv", codec="mjpeg", pixels="yuvj420p")
    sound = examine(remux(source, tmp_path / "sound.mkv", time=lambda n: n + 25 * (n // 10)))
    path = remux(source, tmp_path / "twice.mkv", time=_twice)
    entry = examine(path)
    assert (sound.cause, sound.variable_rate) == ("", True)
    assert entry.variable_rate
    assert "1 of 60 frames bear no time that fits" in entry.cause
    differ = np.flatnonzero(np.abs(entry.times_seconds - sound.times_seconds) > 1e-6)
    assert differ.tolist() in ([34], [])
    assert entry.pyav_access == "random"
    with open_video(path, entry=entry) as video:
        assert count_wrong(video, entry, pairs=30) == 0


def _twice(number: int) -> int:
    """The times of the file with holes, but the 34th frame bears that of the 33rd."""
    number = 33 if number == 34 else number
    return number + 25 * (number // 10)


@pytest.mark.parametrize("name", ["a.ts", "b_frames.ts"])
def test_a_clock_that_starts_anew_is_spliced(tmp_path: Path, name: str) -> None:
    """Two recordings in one stream, as dashcams join them, are one video whose time goes on; it is said."""
    path = write_painted(tmp_path / name, frames=40, b_frames=2 * name.startswith("b"))
    (tmp_path / "twice.ts").write_bytes(path.read_bytes() * 2)
    entry = examine(tmp_path / "twice.ts")
    assert (entry.status, entry.frames, entry.variable_rate) == ("ok", 80, True)
    assert "spliced at 1 jump" in entry.cause
    np.testing.assert_allclose(entry.times_seconds, np.arange(80) / 25, atol=1e-4)
    with open_video(tmp_path / "twice.ts", entry=entry) as video:
        assert read_numbers(np.stack(list(video))) == [*range(40), *range(40)]
        assert read_numbers(video.at([79, 3, 41])) == [39, 3, 1]


@pytest.mark.parametrize(
    ("jump_seconds", "kept", "name"), [(5, True, "a.ts"), (3600, False, "a.ts"), (3600, True, "a.mkv")]
)
def test_a_clock_that_jumps_ahead(tmp_path: Path, jump_seconds: int, kept: bool, name: str) -> None:
    """A pause is kept; where clocks may start anew (transport streams) a jump by more than a minute is spliced."""
    times = [40 * n + 1000 * jump_seconds * (n >= 15) for n in range(30)]
    entry = examine(write_painted(tmp_path / name, frames=30, milliseconds=times))
    expected = np.array(times) / 1000 if kept else np.arange(30) / 25
    np.testing.assert_allclose(entry.times_seconds, expected, atol=0.0011)
    assert (entry.cause == "", entry.variable_rate) == (kept, True)
    with open_video(tmp_path / name, entry=entry) as video:
        assert count_wrong(video, entry, pairs=30) == 0


@pytest.mark.parametrize("b_frames", [0, 2, 3])
def test_h264_in_an_avi_is_timed(tmp_path: Path, b_frames: int) -> None:
    """An AVI knows only when pictures are decoded; with B-frames too, each is shown in turn, and nothing is guessed."""
    path = write_painted(tmp_path / "a.avi", b_frames=b_frames)
    entry = examine(path)
    assert (entry.cause, entry.variable_rate, entry.frames) == ("", False, 60)
    np.testing.assert_allclose(entry.times_seconds, np.arange(60) / 25)
    with open_video(path, entry=entry) as video:
        assert count_wrong(video, entry, pairs=30) == 0


@pytest.mark.parametrize("rate", [1500, 4000])
def test_rates_above_the_resolution_of_the_times(tmp_path: Path, rate: int) -> None:
    """More frames a second than milliseconds: the times within a millisecond are guessed, evenly, and it is said."""
    entry = examine(write_painted(tmp_path / "fast.mkv", frames=80, rate=rate, codec="mjpeg", pixels="yuvj420p"))
    assert "guessed" in entry.cause
    assert entry.variable_rate
    assert (np.diff(entry.times_seconds) > 0).all()
    np.testing.assert_allclose(entry.times_seconds, np.arange(80) / rate, atol=0.0011)


def test_a_stream_without_times_is_counted_by_its_rate(tmp_path: Path) -> None:
    """A bare H.264 stream has pictures only: times are counted, which is said."""
    entry = examine(write_painted(tmp_path / "bare.h264", frames=20))
    assert (entry.frames, "no times in the file" in entry.cause, entry.variable_rate) == (20, True, True)
    np.testing.assert_allclose(entry.times_seconds, np.arange(20) / 25)


def test_dropped_frames_make_the_rate_variable(tmp_path: Path) -> None:
    """Where one tick is one frame, a missing frame is no rounding."""
    source = write_painted(tmp_path / "a.avi", codec="mjpeg", pixels="yuvj420p")
    drop: Callable[[int], int] = lambda n: n + (n > 20)  # noqa: E731
    entry = examine(remux(source, tmp_path / "dropped.avi", time=drop))
    assert entry.variable_rate
    np.testing.assert_allclose(entry.times_seconds, np.array([drop(n) for n in range(60)]) / 25)
