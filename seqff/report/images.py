"""Frames and matrices as small pictures in the page; each frame is stored once, however often it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from seqff.report.html import Content, Html, data_uri, join, tag

JPEG_QUALITY = 72
Spot = tuple[float, float]
"""A position in a frame, (x, y) as fractions of its width and height."""


@dataclass
class ImageStore:
    """The frames of the page, each defined once and then referenced.

    Args:
        height: height of all frames, px.
        width: width of all frames, px.
    """

    height: int
    width: int
    _known: dict[tuple[str, int], int] = field(default_factory=dict)
    _stored: list[Html] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Bytes of the frames in the page."""
        return sum(map(len, self._stored))

    def number(self, video: str, frame: int) -> int | None:
        """Return the number of a stored frame; None if it is not stored."""
        return self._known.get((video, frame))

    def of(self, video: str) -> list[int]:
        """Return the numbers of a video's stored frames, sorted by time."""
        return [self._known[key] for key in sorted(self._known) if key[0] == video]

    def add(self, video: str, frame: int, pixels: NDArray[np.uint8]) -> int:
        """Store a frame, (height, width, 3) uint8 RGB, unless it is stored already, and return its number."""
        key = (video, frame)
        if key not in self._known:
            self._known[key] = len(self._stored)
            quality = [int(cv2.IMWRITE_JPEG_QUALITY), JPEG_QUALITY]
            done, coded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]), quality)
            if not done:
                raise RuntimeError(f"frame {frame} of {video} could not be coded as JPEG")
            uri = data_uri("image/jpeg", coded.tobytes())
            number = self._known[key]
            self._stored.append(tag("image", id=f"frame{number}", href=uri, width=self.width, height=self.height))
        return self._known[key]

    def show(self, number: int, *, name: str, spot: Spot | None = None) -> Html:
        """Return a stored frame as a picture.

        Args:
            number: number of the frame.
            name: tooltip and text for screen readers.
            spot: position to mark by a ring.
        """
        parts = [tag("title", name), tag("use", href=f"#frame{number}")]
        if spot is not None:
            place: dict[str, Content] = {
                "cx": f"{spot[0] * self.width:.0f}",
                "cy": f"{spot[1] * self.height:.0f}",
                "r": self.width // 9,
            }
            parts += [tag("circle", class_="ring-back", **place), tag("circle", class_="ring", **place)]
        return tag("svg", *parts, viewBox=f"0 0 {self.width} {self.height}", class_="frame", role="img")

    def player(self, numbers: Sequence[int], *, name: str) -> Html:
        """Return stored frames as one picture that plays them at the push of a button.

        Args:
            numbers: numbers of the frames, sorted by time.
            name: tooltip and text for screen readers.
        """
        button = tag("button", "\u25b6", type="button", aria_label=f"play {name}", hidden="")
        known = " ".join(map(str, numbers))
        return tag("div", self.show(numbers[0], name=name), button, class_="player", data_frames=known)

    def definitions(self) -> Html:
        """Return the definitions of stored frames, which must precede their use in the page."""
        return tag("svg", tag("defs", *self._stored), class_="definitions", aria_hidden="true")


def png(pixels: NDArray[np.uint8], *, name: str) -> Html:
    """Return (H, W, 3) uint8 RGB as a lossless picture, displayed enlarged with sharp pixels."""
    done, coded = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))
    if not done:
        raise RuntimeError(f"{name} could not be coded as PNG")
    return tag("img", src=data_uri("image/png", coded.tobytes()), alt=name, class_="pixels")


def heat(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a matrix of values in 0..1 as (H, W, 3) uint8 colors; 0 is dark."""
    colors: NDArray[np.uint8] = (255 * colormaps["viridis"](values)[..., :3]).astype(np.uint8)
    return colors


def strip(pictures: list[tuple[Html, str]]) -> Html:
    """Return pictures in a wrapping row, each with a line of text below."""
    cells = [tag("div", picture, tag("span", words), class_="cell") for picture, words in pictures]
    return tag("div", join(*cells), class_="strip")
