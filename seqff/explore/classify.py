"""Classify new videos by a head that a probe saved."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from seqff.devices import choose_device
from seqff.display import html_table
from seqff.errors import RunError, VideoError
from seqff.features.decoding import decode_videos
from seqff.features.describe import FrameDescriber
from seqff.features.job import index_of
from seqff.features.sampling import RowMaker, Sampling
from seqff.files import check_file, write_csv
from seqff.probes.classifier import load_classifier
from seqff.terminal import align, as_lines, counted
from seqff.video import VideoEntry, scan

MOST_SHOWN = 100
"""Lines of the printed table; the CSV file has all."""


@dataclass(frozen=True)
class Classified:
    """The predicted class of a video, or of a part of it.

    Args:
        video: its path.
        start_seconds: start of the part; 0 for a whole video.
        frame: first frame.
        frames: number of frames used.
        label: the class with the highest probability.
        probability: probability of that class.
        in_training: whether the head was fitted on this video, so that the prediction is not a test.
    """

    video: str
    start_seconds: float
    frame: int
    frames: int
    label: str
    probability: float
    in_training: bool


@dataclass(frozen=True)
class Classification:
    """Predicted classes of videos.

    Args:
        layer: layer of the head.
        accuracy: accuracy of that layer in the probe, on held-out videos.
        classes: (K,) names.
        answers: one per video, or one per row of features.
        probabilities: (answers, K) float64.
        skipped: by path, why a video could not be read.
        path: path of the table; None if none was written.
    """

    layer: str
    accuracy: float
    classes: tuple[str, ...]
    answers: tuple[Classified, ...]
    probabilities: NDArray[np.float64] = field(repr=False, compare=False)
    skipped: dict[str, str] = field(default_factory=dict)
    path: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        rows = [
            {**vars(answer), "probabilities": dict(zip(self.classes, values, strict=True))}
            for answer, values in zip(self.answers, self.probabilities.tolist(), strict=True)
        ]
        return {"layer": self.layer, "probe_accuracy": self.accuracy, "answers": rows, "skipped": self.skipped}

    def table(self) -> str:
        """The predictions as plain text."""
        rows = self._rows()
        more = [f"... and {len(rows) - 1 - MOST_SHOWN} more"] if len(rows) > MOST_SHOWN + 1 else []
        return as_lines([self._head(), *align(rows[: MOST_SHOWN + 1]), *more, *self._notes()])

    def __repr__(self) -> str:
        return f"Classification({counted(len(self.answers), 'answer')} {self._head()}, {len(self.classes)} classes)"

    def _repr_html_(self) -> str:
        """The predictions as an HTML table, for notebooks."""
        return html_table(self._head(), self._rows(), self._notes())

    def _head(self) -> str:
        return f"by {self.layer}, whose accuracy in the probe is {self.accuracy:.3f}"

    def _rows(self) -> list[list[str]]:
        """A header and one line per prediction."""
        found = [[one.label, f"{one.probability:.3f}", f"{one.start_seconds:.2f}", one.video] for one in self.answers]
        return [["class", "probability", "seconds", "video"], *found]

    def _notes(self) -> list[str]:
        counts = Counter(one.label for one in self.answers)
        lines = ["in all: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())]
        known = len({one.video for one in self.answers if one.in_training})
        if known:
            lines.append(f"note: the head was fitted on {known} of these videos; that they fit says little")
        return lines + [f"skipped {video}: {cause}" for video, cause in self.skipped.items()]


def classify(
    probe: str | os.PathLike[str],
    videos: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    layer: str | int | None = None,
    run: str | os.PathLike[str] | None = None,
    rows: bool = False,
    workers: int = 1,
    device: str = "auto",
    max_bad: float = 0.05,
    overwrite: bool = False,
    progress: bool = True,
) -> Classification:
    """Classify new videos by the linear head that a probe fitted on all its videos.

    Features are computed as for the probe: with the same encoder, frame sampling and pooling. If the probe's rows are
    frames or clips, the probabilities of a video are the mean over its rows.

    Args:
        probe: folder of a probe.
        videos: a folder, a file, a list of files or a manifest, as for `scan`.
        out: table (*.csv): video, class, probability, in_training, and the probability of every class; None writes
            nothing.
        layer: layer of the head, by name or index; None uses the one with the best accuracy in the probe.
        run: path of the run, if it has moved since the features were extracted.
        rows: one prediction per row of features (a frame or a clip), with its time, instead of one per video.
        workers: number of decoding threads.
        device: "auto", "cpu" or "cuda".
        max_bad: largest share of videos that may be skipped because they cannot be read.
        overwrite: replace an existing file.
        progress: show progress bars if stderr is a terminal.

    Returns:
        The predictions, sorted by the videos' paths.

    Raises:
        RunError: no heads, another encoder than that of the probe, too many unreadable videos, or `out` exists.
        ValueError: no head of that layer, or an invalid argument.
        SeqffError, FileNotFoundError: from `scan`.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")
    file = None if out is None else check_file(Path(out), (".csv",), overwrite=overwrite)
    target = choose_device(device)
    using = load_classifier(probe, layer=layer, run=run)
    describer = FrameDescriber({"": using.encoder}, pixels=False, grid=using.grid, device=target)
    sampling = using.sampling
    maker = RowMaker(describer.columns, sampling, using.dtype)
    place, head = maker.columns[using.layer], using.head
    if place.width != len(head.kept):
        raise RunError(f"{using.layer} gives {place.width} numbers a row, the head takes {len(head.kept)}; probe again")
    manifest = scan(videos, max_bad=max_bad, progress=progress)
    answers: list[Classified] = []
    probabilities: list[NDArray[np.float64]] = []
    skipped = {entry.path: f"{entry.status}: {entry.cause}" for entry in manifest.bad}
    usable = manifest.usable
    decoded = decode_videos(manifest.root, usable, sampling, describer.transform, workers=workers)
    for entry, batches in tqdm(decoded, "classify", len(usable), unit="video", disable=None if progress else True):
        try:
            parts = [part[:, place.start : place.stop].astype(np.float32) for part in maker(map(describer, batches))]
            found = np.concatenate([head.probabilities(part) for part in parts])
        except (VideoError, FileNotFoundError) as error:
            skipped[entry.path] = str(error)
            if len(skipped) > max_bad * len(manifest):
                raise RunError(
                    f"{len(skipped)} of {len(manifest)} videos cannot be read, more than max_bad {max_bad:g} allows; "
                    f"{entry.path}: {error}"
                ) from error
            continue
        seen = entry.content_hash in using.videos
        lines = _lines(entry, found, using.classes, sampling, seen, rows=rows)
        answers += [answer for answer, _ in lines]
        probabilities += [values for _, values in lines]
    result = Classification(
        using.layer, using.accuracy, using.classes, tuple(answers),
        np.array(probabilities).reshape(-1, len(using.classes)), dict(sorted(skipped.items())),
    )  # fmt: skip
    if file is not None:
        _write(result, file)
    return replace(result, path=file)


def _lines(
    entry: VideoEntry, found: NDArray[np.float64], classes: Sequence[str], sampling: Sampling, seen: bool, *, rows: bool
) -> list[tuple[Classified, NDArray[np.float64]]]:
    """The predictions for a video: one, or one per row of features."""

    def answer(values: NDArray[np.float64], time: float, frame: int, frames: int) -> Classified:
        best = int(values.argmax())
        return Classified(entry.path, time, frame, frames, classes[best], float(values[best]), seen)

    if not rows:
        mean = found.mean(axis=0)
        return [(answer(mean, 0.0, 0, entry.frames), mean)]
    index = index_of([entry], sampling)
    where = zip(index.time_seconds.tolist(), index.frame.tolist(), index.frames.tolist(), strict=True)
    return [(answer(values, *at), values) for values, at in zip(found, where, strict=True)]


def _write(result: Classification, file: Path) -> None:
    header = ("video", "start_seconds", "frame", "frames", "class", "probability", "in_training")
    rows = [
        (one.video, one.start_seconds, one.frame, one.frames, one.label, one.probability,
         "yes" if one.in_training else "no", *values)
        for one, values in zip(result.answers, result.probabilities.tolist(), strict=True)
    ]  # fmt: skip
    write_csv(file, (*header, *(f"p({name})" for name in result.classes)), rows)
