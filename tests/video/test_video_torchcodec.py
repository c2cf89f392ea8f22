"""The optional torchcodec reader: exact where it reads, and a clear refusal otherwise."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from helpers.painted import count_wrong

from seqff.errors import VideoError
from seqff.video import Manifest, open_video
from seqff.video.torchcodec_reader import torchcodec_available

FIRST = {"cut_17.mp4": 17, "cut_27_open_gop.mp4": 27}
CANNOT_SEEK = {"intra_refresh.mp4"}


@pytest.mark.skipif(not torchcodec_available(), reason="torchcodec is not installed (an optional extra)")
def test_torchcodec_is_exact_or_refuses(manifest: Manifest) -> None:
    """On every clip torchcodec returns the frames asked for, or says why it cannot be held to that."""
    pytest.importorskip("torchcodec.decoders", reason="FFmpeg's libraries are not there", exc_type=RuntimeError)
    refused, wrong = set(), {}
    for entry in manifest:
        try:
            with open_video(manifest.path(entry), entry=entry, reader="torchcodec", size=(36, 48)) as video:
                wrong[entry.path] = count_wrong(video, entry, first=FIRST.get(entry.path, 0), pairs=12)
        except VideoError:
            refused.add(entry.path)
    assert wrong == dict.fromkeys(wrong, 0)
    assert {"b_frames.mp4", "open_gop.mp4", "variable.mp4", "turned_90.mp4", "mjpeg.avi"} <= set(wrong)
    assert refused >= CANNOT_SEEK


def test_without_torchcodec(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed the error names the extra; where it cannot be exact the error says so."""
    monkeypatch.setattr("seqff.video.torchcodec_reader.torchcodec_available", lambda: False)
    entry = next(entry for entry in manifest if entry.path == "b_frames.mp4")
    with pytest.raises(VideoError, match=r"seqff\[torchcodec\]"):
        open_video(manifest.path(entry), entry=entry, reader="torchcodec")
    for changed, cause in (
        ({"pts_runs": ()}, "bear no times"),
        ({"pyav_access": "forward"}, "no decoder can"),
        ({"key_prints": (1,)}, "container guesses"),
        ({"orientation": (-1, 0, 0, 1)}, "mirror"),
        ({"reader": "opencv"}, "possible: opencv"),
    ):
        with pytest.raises(VideoError, match=cause):
            open_video(manifest.path(entry), entry=replace(entry, **changed), reader="torchcodec")
    assert "torchcodec.decoders" not in sys.modules or torchcodec_available()
