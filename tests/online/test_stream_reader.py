"""Endless sources: failures are reported and reconnected, dropped frames counted, incomplete files skipped."""

from __future__ import annotations

import http.server
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.painted import read_numbers, write_painted
from helpers.streams import numbered

from seqff.config import LiveConfig
from seqff.errors import VideoError
from seqff.online import Arrival, StreamReader, open_stream, sources
from seqff.online import reader as reader_of_streams
from seqff.online.live import shown_name

QUICK = LiveConfig(idle_minutes=0.01)


def as_it_is(height: int, width: int) -> tuple[int, int]:
    """The size of the source."""
    return height, width


def read(source: Any, live: LiveConfig = QUICK) -> tuple[list[Arrival], StreamReader]:
    """All frames of a source, and the reader with what it counted."""
    with StreamReader(open_stream(source, live, size=as_it_is), live) as reader:
        return list(reader.frames()), reader


def numbers_of(arrivals: list[Arrival]) -> list[int]:
    """What the frames carry."""
    return read_numbers(np.stack([arrival.image for arrival in arrivals]))


def test_a_source_that_breaks_off_is_opened_again_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """Three cuts, one of them with an attempt that fails: every frame comes, and cuts, causes and waits are told."""
    breaks = [(10, OSError("no route")), (15, ConnectionResetError("reset")), (0, OSError("refused")), (20, EOFError())]
    done = [0]

    def connect() -> Iterator[np.ndarray]:
        stop, error = breaks.pop(0) if breaks else (25, None)
        for number, frame in zip(range(done[0], stop), numbered(done[0], stop), strict=True):
            yield frame
            done[0] = number + 1
        if error:
            raise error

    with caplog.at_level(logging.WARNING):
        arrivals, reader = read(connect)
    assert numbers_of(arrivals) == list(range(25))
    assert [number for number, arrival in enumerate(arrivals) if arrival.cut] == [10, 15, 20]
    assert reader.lost == 3
    assert [(loss.cause, loss.attempts) for loss in reader.losses] == [("no route", 1), ("reset", 2), ("EOFError", 1)]
    assert all(loss.seconds is not None for loss in reader.losses)
    waits = [message for message in caplog.messages if "attempt" in message]
    assert "refused; attempt 2 of 8 in 0.02 s" in waits[2]  # twice the first wait


def test_a_source_that_does_not_come_back_is_given_up() -> None:
    """After `retries` attempts in a row the error says what the last one met; the frames before have been given."""
    opened = []

    def connect() -> Iterator[np.ndarray]:
        opened.append(1)
        if len(opened) > 1:
            raise OSError("unplugged")
        yield from numbered(0, 3)
        raise OSError("unplugged")

    live = LiveConfig(retries=3)
    with StreamReader(open_stream(connect, live, size=as_it_is), live) as reader:
        frames = reader.frames()
        assert numbers_of([next(frames) for _ in range(3)]) == [0, 1, 2]
        with pytest.raises(VideoError, match=r"given up after 3 attempts.*unplugged"):
            next(frames)
    assert len(opened) == 4


def test_at_first_a_source_must_be_there_and_bugs_come_through(tmp_path: Path) -> None:
    """A wrong address is an error at once, and so is what a Python source raises that is no lost connection."""
    with pytest.raises(VideoError, match="no such file, pipe or folder"):
        read(tmp_path / "gone")
    with pytest.raises(VideoError, match="refused"):
        read("http://127.0.0.1:9/video")
    with pytest.raises(ZeroDivisionError):
        read(1 // 0 for _ in range(3))
    with pytest.raises(ValueError, match=r"must give frames.*\(3, 3\) float64"):
        read(iter([np.zeros((3, 3))]))
    with pytest.raises(TypeError, match="a stream is"):
        open_stream(1.5, QUICK, size=as_it_is)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"live\.retries"):
        StreamReader(open_stream(0, QUICK, size=as_it_is), LiveConfig(retries=-1))


def test_behind_a_live_source_the_newest_frames_win_and_the_others_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who takes frames too slowly gets the latest ones; dropped ones are counted and stand before the next frame."""
    monkeypatch.setattr(reader_of_streams, "BUFFER_FRAMES", 5)
    live, all_given = LiveConfig(behind="drop"), threading.Event()

    def source() -> Iterator[np.ndarray]:
        yield from numbered(0, 40)
        all_given.set()

    with StreamReader(open_stream(source(), live, size=as_it_is), live) as reader:
        arrivals = []
        for arrival in reader.frames():
            all_given.wait(60)  # a step that takes long
            arrivals.append(arrival)
    seen = numbers_of(arrivals)
    assert seen[-5:] == list(range(35, 40))
    assert len(seen) + reader.dropped == reader.came == 40
    ahead = [before + 1 + arrival.skipped for before, arrival in zip([-1, *seen], arrivals, strict=False)]
    assert ahead == seen


def test_a_growing_folder_of_videos(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read when they are finished, those that come later too, half-written and damaged ones never."""
    clip = write_painted(tmp_path / "clip.ts", frames=12).read_bytes()
    folder = tmp_path / "grows"
    folder.mkdir()
    (folder / "first.ts").write_bytes(clip)
    (folder / "damaged.mp4").write_bytes(b"no video")
    stop = threading.Event()

    def write_slowly() -> None:
        with (folder / "slow.ts").open("wb") as file:
            for start in range(0, len(clip), len(clip) // 20):
                file.write(clip[start : start + len(clip) // 20])
                file.flush()
                stop.wait(0.03)

    writer = threading.Thread(target=write_slowly)
    monkeypatch.setattr(sources, "SETTLE_SECONDS", 0.6)
    live = LiveConfig(idle_minutes=0.03)
    with StreamReader(open_stream(folder, live, size=as_it_is), live) as reader:
        arrivals = []
        for arrival in reader.frames():
            arrivals.append(arrival)
            if len(arrivals) == 12:
                writer.start()
    writer.join()
    assert numbers_of(arrivals) == [*range(12), *range(12)]
    assert [arrival.cut for arrival in arrivals] == [number % 12 == 0 for number in range(24)]
    assert sum("damaged.mp4" in message for message in caplog.messages) == 1
    later = open_stream(folder, live, size=as_it_is)
    later.recall(reader.source.state())
    with StreamReader(later, LiveConfig(idle_minutes=0.01)) as again:
        assert not list(again.frames())  # what has been read is not read again


def test_a_growing_folder_of_images(tmp_path: Path) -> None:
    """Images come by their number, a missing number is a missing frame, and half an image is waited for."""
    whole = {}
    for number, frame in zip((7, 8, 10), numbered(7, 10), strict=True):
        cv2.imwrite(str(tmp_path / f"frame_{number:04d}.png"), frame)
        whole[number] = (tmp_path / f"frame_{number:04d}.png").read_bytes()
    (tmp_path / "frame_0010.png").write_bytes(b"")
    live = LiveConfig(idle_minutes=0.02)
    with StreamReader(open_stream(tmp_path, live, size=as_it_is), live) as reader:
        arrivals = []
        for arrival in reader.frames():
            arrivals.append(arrival)
            if len(arrivals) == 2:
                (tmp_path / "frame_0010.png").write_bytes(whole[10])
    assert numbers_of(arrivals) == [7, 8, 9]
    assert [arrival.skipped for arrival in arrivals] == [0, 0, 1]


def test_a_growing_folder_of_two_cameras(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Numbers may stand anywhere, a cover beside them does no harm; two cameras are said, once, and none is taken."""
    for number, frame in enumerate(numbered(0, 2)):
        cv2.imwrite(str(tmp_path / f"IMG ({number + 1}) a.png"), frame)
    cv2.imwrite(str(tmp_path / "cover.png"), next(numbered(9, 10)))
    live = LiveConfig(idle_minutes=0.02)
    with StreamReader(open_stream(tmp_path, live, size=as_it_is), live) as reader:
        assert numbers_of(list(reader.frames())) == [0, 1]
    for number, frame in enumerate(numbered(0, 2)):
        cv2.imwrite(str(tmp_path / f"IMG ({number + 1}) b.png"), frame)
    with StreamReader(open_stream(tmp_path, live, size=as_it_is), live) as reader:
        assert not list(reader.frames())
    assert caplog.text.count("holds 2 numbered sequences (IMG (%d) a.png, ...)") == 1


def test_a_named_pipe(tmp_path: Path) -> None:
    """Frames come out of a named pipe; its end is the end of the stream."""
    data, pipe = write_painted(tmp_path / "clip.ts", frames=20).read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    sender = threading.Thread(target=lambda: pipe.write_bytes(data), daemon=True)
    sender.start()
    arrivals, reader = read(pipe)
    sender.join()
    assert numbers_of(arrivals) == list(range(20))
    assert (reader.dropped, reader.lost) == (0, 0)


class Server:
    """Serves bytes over HTTP on this machine; the first answers may break off in the middle."""

    def __init__(self, data: bytes, *, cuts: int = 0, length: bool = True) -> None:
        left = [cuts]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                left[0] -= 1
                self.send_response(200)
                if length:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) * 2 // 3] if left[0] >= 0 else data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        return f"http://user:secret@127.0.0.1:{self.server.server_port}/clip.ts?token=1"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_http(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file over HTTP comes whole, once, also if the connection is cut on the way; no password is ever told."""
    data = write_painted(tmp_path / "clip.ts", frames=200, options={"crf": "1"}).read_bytes()
    with Server(data, cuts=1) as address:
        arrivals, reader = read(address, LiveConfig(behind="wait"))
    seen = numbers_of(arrivals)
    assert seen == sorted(set(seen))
    assert seen[-1] == 199
    assert len(seen) >= 195  # packets at the cut may be lost with it
    assert reader.lost == 1
    told = " ".join([*caplog.messages, str(reader.statistics())])
    assert "***@127.0.0.1" in told
    assert "secret" not in told
    assert "token" not in told


def test_an_endless_http_stream_is_waited_for(tmp_path: Path) -> None:
    """An answer without a length is a camera: when it ends, it is asked again, until enough is enough."""
    data = write_painted(tmp_path / "clip.ts", frames=10).read_bytes()
    with Server(data, length=False) as address:
        live = LiveConfig(behind="wait")
        with StreamReader(open_stream(address, live, size=as_it_is), live) as reader:
            frames = reader.frames(lambda: reader.lost < 2)
            assert len(list(frames)) >= 10
    assert reader.lost >= 2  # it may break off once more before it is closed


def test_names_without_secrets() -> None:
    """Addresses are shown without user, password and query; paths as they are."""
    assert shown_name("rtsp://me:pw@cam/main?key=1") == "rtsp://***@cam/main?..."
    assert shown_name("http://cam/a@b") == "http://cam/a@b"
    assert shown_name(3) == "camera 3"
    assert shown_name(Path("a/b.mp4")) == "a/b.mp4"
