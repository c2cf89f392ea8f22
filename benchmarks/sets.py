"""The data sets of `benchmarks.quality`: real clips if available, and clips that are generated once."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.study_clips import SEED, solid_kinds, turning_solid, write_before_one_wall
from seqff.pairs.synthetic import ClipSettings, moving_object, texture, write_clip, write_digit_clips

TRAIN_CLIPS, TEST_CLIPS, DIGIT_CLIPS = 600, 300, 800
STUDY_SUBJECTS = ("daria", "denis", "eli", "ido", "ira", "lena")


@dataclass(frozen=True)
class VideoSet:
    """Videos with their labels and splits.

    Args:
        videos: folder; the class of a video is its first folder.
        groups: regular expression for the group of a file, None for one group per video.
        splits: CSV file of an official split, if there is one.
        unseen_folds: number of folds with separate trainings without their test groups; 0 trains once on all videos.
        split_frames: train on every n-th frame of each video and test all others, "every:18"; each video is a class.
        home: sets of the same videos that differ only in the probe share their trainings under this name.
    """

    videos: Path
    groups: str | None = None
    splits: Path | None = None
    unseen_folds: int = 0
    split_frames: str | None = None
    home: str | None = None


def write_moving_pictures(
    archive: Path, folder: Path, *, background: str, seed: int = 0, reported: bool = True
) -> None:
    """Write clips of images from an .npz file that move, rotate, scale and change brightness, 64 x 64 px.

    Training clips show images of x_train, test clips of x_test, each a different one with balanced classes; the split
    is FOLDER/splits.csv.

    Args:
        archive: file with x_train, y_train, x_test, y_test; 28 x 28 uint8.
        folder: output folder; videos go to FOLDER/videos/CLASS/PART_NNNN.mp4.
        background: "none", "static" or "moving".
        seed: seed of all choices.
        reported: False uses other images of x_train in the test clips, for choosing settings.
    """
    settings = ClipSettings(object_px=32, background=background)  # type: ignore[arg-type]
    lines = []
    with np.load(archive) as arrays:
        for number, (part, count) in enumerate((("train", TRAIN_CLIPS), ("test", TEST_CLIPS))):
            source = part if reported else "train"
            images, labels = arrays[f"x_{source}"], arrays[f"y_{source}"]
            order = np.random.default_rng([seed, number if reported else 0]).permutation(len(labels))
            chosen = _equally(order, labels, 0 if reported else number * TRAIN_CLIPS // 10, count // 10)
            for place, index, path in _places(folder, part, chosen, labels):
                random = np.random.default_rng([seed, number, 1, place])
                clip = moving_object(np.pad(images[index], 2) / 255.0, settings, random)
                write_clip(path, clip, fps=settings.fps)
                lines.append((path, part))
    _write_splits(folder, lines)


def _equally(order: np.ndarray, labels: np.ndarray, first: int, each: int) -> np.ndarray:
    """Return the indices of `each` images of every class, in this order, from its `first` one on."""
    return np.concatenate([order[labels[order] == label][first : first + each] for label in range(10)])


def _places(folder: Path, part: str, chosen: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, int, Path]]:
    """Yield position, index and file of each chosen image; creates the file's folder."""
    for place, index in enumerate(tqdm(chosen, desc=f"write {folder.name} {part}", disable=None)):
        path = folder / "videos" / f"class_{labels[index]}" / f"{part}_{place:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        yield place, int(index), path


def _write_splits(folder: Path, lines: Sequence[tuple[Path, str]]) -> None:
    names = [(path.relative_to(folder / "videos").as_posix(), part) for path, part in lines]
    with (folder / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("video", "split"), *names])


def turning_object(image: np.ndarray, behind: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Animate an image of a bright object on black that rotates in place about its vertical axis.

    Args:
        image: (h, w) float in 0..1.
        behind: (64, 64) float, the background.
        random: source of size, speed, position and light.

    Returns:
        (24, 64, 64, 3) uint8, gray.
    """
    import cv2

    scale = 36 / 32 * random.uniform(0.8, 1.2)
    start, speed = random.uniform(0, 360), random.uniform(6, 16) * random.choice([-1, 1])
    centre = np.array([32 + random.uniform(-5, 5), 32 + random.uniform(-5, 5)])
    light = random.uniform(0.7, 1)
    middle = (image.shape[1] - 1) / 2
    clip = np.empty((24, 64, 64, 3), np.uint8)
    for n in range(len(clip)):
        width = np.cos(np.deg2rad(start + speed * n))
        width = scale * np.sign(width) * max(abs(width), 0.15)  # never quite edge on
        place = np.array([[width, 0, centre[0] - width * middle], [0, scale, centre[1] - scale * middle]])
        shape = cv2.warpAffine(image.astype(np.float32), place, (64, 64), flags=cv2.INTER_CUBIC).clip(0, 1)
        clip[n] = ((shape + (1 - shape) * behind) * light * 255).clip(0, 255)[..., None]
    return clip


def write_turning_pictures(archive: Path, folder: Path) -> None:
    """Write clips of images of x_train rotating in place over one texture, in the same layout."""
    lines = []
    behind = 0.35 * texture(64, np.random.default_rng(77))
    with np.load(archive) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
    order = np.random.default_rng(5).permutation(len(labels))
    for number, (part, count) in enumerate((("train", TRAIN_CLIPS), ("test", TEST_CLIPS))):
        chosen = _equally(order, labels, number * TRAIN_CLIPS // 10, count // 10)
        for place, index, path in _places(folder, part, chosen, labels):
            random = np.random.default_rng([5, number, place])
            write_clip(path, turning_object(np.pad(images[index], 2) / 255.0, behind, random))
            lines.append((path, part))
    _write_splits(folder, lines)


def write_turning_solids(folder: Path) -> None:
    """Write clips of rotating solids of ten kinds over that texture, each in its own color, in the same layout."""
    lines, kinds = [], solid_kinds()
    behind = 0.35 * texture(64, np.random.default_rng(77))
    for number, (part, count) in enumerate((("train", TRAIN_CLIPS // 2), ("test", TEST_CLIPS // 2))):
        chosen = np.arange(count)
        for place, _, path in _places(folder, part, chosen, chosen % len(kinds)):
            random = np.random.default_rng([SEED, number, place])
            write_clip(path, turning_solid(kinds[place % len(kinds)], behind, random))
            lines.append((path, part))
    _write_splits(folder, lines)


def _turning(data: Path, made: Path) -> VideoSet:
    folder = made / "turning-study"
    if not (folder / "splits.csv").exists():
        write_turning_pictures(data / "images" / "fashion_mnist.npz", folder)
    return VideoSet(folder / "videos", splits=folder / "splits.csv")


def _solids(data: Path, made: Path) -> VideoSet:
    folder = made / "solids-study"
    if not (folder / "splits.csv").exists():
        write_turning_solids(folder)
    return VideoSet(folder / "videos", splits=folder / "splits.csv")


def _wall(data: Path, made: Path) -> VideoSet:
    folder = made / "wall-study"
    if not (folder / "done").exists():
        write_before_one_wall(data / "weizmann", folder / "videos")
        (folder / "done").touch()
    return VideoSet(folder / "videos", groups="(?P<group>[a-z]+)_")


def _moving(archive: str, background: str, *, reported: bool = True) -> Callable[[Path, Path], VideoSet]:
    def prepare(data: Path, made: Path) -> VideoSet:
        folder = made / f"{archive}-{background}{'' if reported else '-study'}"
        if not (folder / "splits.csv").exists():
            source = data / "images" / f"{archive}.npz"
            write_moving_pictures(source, folder, background=background, seed=int(not reported), reported=reported)
        return VideoSet(folder / "videos", splits=folder / "splits.csv")

    return prepare


def _digits(data: Path, made: Path) -> VideoSet:
    folder = made / "digits"
    if not (folder / "done").exists():
        write_digit_clips(folder / "videos", clips=DIGIT_CLIPS, seed=0)
        (folder / "done").touch()
    return VideoSet(folder / "videos")


def _weizmann(unseen_folds: int) -> Callable[[Path, Path], VideoSet]:
    return lambda data, made: VideoSet(data / "weizmann", groups="(?P<group>[a-z]+)_", unseen_folds=unseen_folds)


def _linked(source: Path, folder: Path, wanted: Iterable[Path]) -> Path:
    """Link some of a set's videos, in its layout."""
    for video in wanted:
        link = folder / video.relative_to(source)
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(video.resolve())
    return folder


def _number(path: Path) -> int:
    """Return the number of a clip's source (s017_2.mp4 has source 17) or object (o05 is object 5)."""
    return int(re.findall(r"\d+", path.name)[0])


def _part(name: str, pattern: str, part: str) -> Callable[[Path, Path], Path]:
    """Return all videos of a set, or those of even ("study") or odd ("rest") sources or objects.

    Classes with a single video in a part are dropped there, because a probe could not test them.
    """

    def videos(data: Path, made: Path) -> Path:
        source = data / name
        if part == "all":
            return source
        chosen = [path for path in sorted(source.glob(pattern)) if _number(path) % 2 == (part == "rest")]
        videos_of = Counter(path.parent for path in chosen)
        kept = [path for path in chosen if videos_of[path.parent] > 1]
        return _linked(source, made / f"{name}-{part}", kept)

    return videos


def _jhmdb(part: str, unseen_folds: int = 0) -> Callable[[Path, Path], VideoSet]:
    videos = _part("jhmdb", "*/*.mp4", part)
    return lambda data, made: VideoSet(videos(data, made), groups=r"s(?P<group>\d+)_", unseen_folds=unseen_folds)


def _turntable(part: str, every: int) -> Callable[[Path, Path], VideoSet]:
    videos, home = _part("turntable", "o*", part), f"turntable-{part}"
    return lambda data, made: VideoSet(videos(data, made), split_frames=f"every:{every}", home=home)


def _weizmann_study(data: Path, made: Path) -> VideoSet:
    source = data / "weizmann"
    chosen = [file for file in sorted(source.glob("*/*")) if file.name.partition("_")[0] in STUDY_SUBJECTS]
    return VideoSet(_linked(source, made / "weizmann-study", chosen), groups="(?P<group>[a-z]+)_")


SETS: dict[str, tuple[str, Callable[[Path, Path], VideoSet]]] = {
    "jhmdb": ("jhmdb", _jhmdb("all")),
    "jhmdb-unseen": ("jhmdb", _jhmdb("all", 5)),
    "jhmdb-rest": ("jhmdb", _jhmdb("rest")),
    "turntable-90": ("turntable", _turntable("all", 18)),
    "turntable-45": ("turntable", _turntable("all", 9)),
    "turntable-90-rest": ("turntable", _turntable("rest", 18)),
    "weizmann-seen": ("weizmann", _weizmann(0)),
    "weizmann-unseen": ("weizmann", _weizmann(3)),
    "fashion-plain": ("images/fashion_mnist.npz", _moving("fashion_mnist", "none")),
    "fashion-static": ("images/fashion_mnist.npz", _moving("fashion_mnist", "static")),
    "fashion-moving": ("images/fashion_mnist.npz", _moving("fashion_mnist", "moving")),
    "mnist-plain": ("images/mnist.npz", _moving("mnist", "none")),
    "mnist-static": ("images/mnist.npz", _moving("mnist", "static")),
    "mnist-moving": ("images/mnist.npz", _moving("mnist", "moving")),
    "digits": ("", _digits),
}
"""Name -> required path below the data folder ("" for none), and the function that prepares the set."""
STUDY_SETS: dict[str, tuple[str, Callable[[Path, Path], VideoSet]]] = {
    "jhmdb-study": ("jhmdb", _jhmdb("study")),
    "turntable-study": ("turntable", _turntable("study", 18)),
    "weizmann-study": ("weizmann", _weizmann_study),
    "plain-study": ("images/fashion_mnist.npz", _moving("fashion_mnist", "none", reported=False)),
    "static-study": ("images/fashion_mnist.npz", _moving("fashion_mnist", "static", reported=False)),
    "moving-study": ("images/fashion_mnist.npz", _moving("fashion_mnist", "moving", reported=False)),
    "mnist-moving-study": ("images/mnist.npz", _moving("mnist", "moving", reported=False)),
    "turning-study": ("images/fashion_mnist.npz", _turning),
    "solids-study": ("", _solids),
    "wall-study": ("weizmann", _wall),
}
"""Sets for choosing settings: clips of even sources, even-numbered objects, six of the nine subjects, images of the
training part only, rotating solids, and all nine subjects in front of one wall. Sets named "-rest" contain the sources
and objects that were never used to choose settings."""
