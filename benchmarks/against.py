"""Compare the cost of this checkout with another one, for changes that must cost nothing.

    git worktree add ../before COMMIT
    python -m benchmarks.against ../before                         # about 10 minutes on one core
    python -m benchmarks.against ../before CLIPS --repeats 7 --json against.json
    python -m benchmarks.against ../before --settings here.yaml --other-settings there.yaml

Both checkouts run the same commands alternately, each in a separate process on one thread: a scan of the clips, a short
    and a long training, an extraction, and a scan of many tiny files. The measure is CPU seconds of the process and its
    children; the cost of a step is the difference between the long and the short training, which excludes startup.
    Memory is the peak of the long training. Values are medians over the repeats, ratios are ratios of medians, with the
    range of the single turns. Above 1, this checkout costs more. The last lines report whether weights and features are
    bit-identical.

The commands set only the number of steps. If defaults or names of settings have changed, give each checkout a settings
file for the same training. Without CLIPS, clips of moving digits are generated.
"""

from __future__ import annotations

import hashlib
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Used, arguments, command, write
from benchmarks.reading_clips import make_tiny
from seqff.pairs.synthetic import write_digit_clips

HERE = Path(__file__).resolve().parents[1]
WHOLE = {"scan": "scan", "scan tiny": "scan of tiny files", "long": "training", "extract": "extraction"}


class Checkout:
    """The commands of one checkout.

    Args:
        path: folder of the checkout.
        clips: folder of videos.
        tiny: folder of many small videos, None to skip them.
        work: output folder.
        settings: settings file of its trainings, None for its defaults.
        steps: steps of the short and the long training.
    """

    def __init__(
        self, path: Path, clips: Path, tiny: Path | None, work: Path, settings: Path | None, steps: tuple[int, int]
    ) -> None:
        self.path, self.clips, self.tiny, self.work = path, clips, tiny, work
        self.config = ["--config", settings.resolve()] if settings else []
        self.steps = steps
        work.mkdir()

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order of dependency."""
        return ["scan", *["scan tiny"] * (self.tiny is not None), "short", "long", "extract"]

    def run(self, task: str, turn: int) -> Used:
        """Run one task of one turn."""
        folder = self.work / str(turn)
        folder.mkdir(exist_ok=True)
        manifest = folder / "scan.json"
        words, out = {
            "scan": (["scan", self.clips], manifest),
            "scan tiny": (["scan", self.tiny], folder / "tiny.json"),
            "short": (["train", manifest, "--steps", self.steps[0], *self.config], folder / "short"),
            "long": (["train", manifest, "--steps", self.steps[1], *self.config], folder / "long"),
            "extract": (["extract", folder / "long", manifest], folder / "features"),
        }[task]
        environment = {"PYTHONPATH": str(self.path)}
        return command([sys.executable, "-m", "seqff", *words, "--out", out], environment=environment, cwd=self.path)

    def digests(self, turn: int) -> dict[str, str]:
        """Return digests of weights and features."""
        folder = self.work / str(turn)
        features = sorted((folder / "features").rglob("*.npy"))
        return {"weights": _digest([folder / "long" / "encoder.safetensors"]), "features": _digest(features)}


def _digest(files: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def take_turns(checkouts: dict[str, Checkout], repeats: int) -> dict[tuple[str, str], list[Used]]:
    """Run each task on both checkouts in alternating order; return results by checkout and task."""
    used: dict[tuple[str, str], list[Used]] = defaultdict(list)
    for turn in range(repeats):
        for task in checkouts["here"].tasks:
            for who in sorted(checkouts, reverse=turn % 2 == 1):
                used[who, task].append(checkouts[who].run(task, turn))
        print(f"turn {turn + 1} of {repeats} done", file=sys.stderr)
    return used


def summary(used: dict[tuple[str, str], list[Used]], steps: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Return the medians of both checkouts and their ratio, by measurement."""
    names = [name for who, name in used if who == "here"]
    values: dict[str, dict[str, list[float]]] = {}
    for who in ("here", "other"):
        for name in names:
            if name in WHOLE:
                seconds = [one.cpu_seconds for one in used[who, name]]
                values.setdefault(f"{WHOLE[name]}, CPU s", {})[who] = seconds
        both = zip(used[who, "long"], used[who, "short"], strict=True)
        step = [1000 * (long.cpu_seconds - short.cpu_seconds) / (steps[1] - steps[0]) for long, short in both]
        values.setdefault("training step, CPU ms", {})[who] = step
        values.setdefault("memory of a training, MB", {})[who] = [one.peak_mb for one in used[who, "long"]]
    return {what: _compared(found["here"], found["other"]) for what, found in values.items()}


def _compared(here: list[float], other: list[float]) -> dict[str, Any]:
    single = [a / b for a, b in zip(here, other, strict=True)]
    middle = statistics.median(here), statistics.median(other)
    return {"here": middle[0], "other": middle[1], "ratio": middle[0] / middle[1], "range": [min(single), max(single)]}


def table(rows: dict[str, dict[str, Any]], at_most: float) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| what | here | other | here / other | range | at most |", "|---" * 6 + "|"]
    for what, row in rows.items():
        least, most = row["range"]
        verdict = "met" if row["ratio"] <= at_most else "MISSED"
        lines.append(
            f"| {what} | {row['here']:.2f} | {row['other']:.2f} | {row['ratio']:.3f} | {least:.3f} to {most:.3f} "
            f"| {at_most:g} {verdict} |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if this checkout costs more than allowed."""
    parser = arguments(__doc__)
    parser.add_argument("other", type=Path, help="the other checkout, such as a worktree of an older commit")
    parser.add_argument("clips", nargs="?", type=Path, help="folder of videos; generated if omitted")
    parser.add_argument("--here", type=Path, default=HERE, help="instead of this checkout")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, nargs=2, default=(10, 70), help="of the short and the long training")
    parser.add_argument("--clip-count", type=int, default=200, help="number of generated clips")
    parser.add_argument("--tiny-files", type=int, default=0, help="number of tiny files to scan")
    parser.add_argument("--settings", type=Path, help="settings of this checkout; default: its defaults")
    parser.add_argument("--other-settings", type=Path, help="settings of the other checkout; default: its defaults")
    parser.add_argument("--at-most", type=float, default=1.02, help="largest allowed ratio")
    options = parser.parse_args(argv)
    if options.steps[0] >= options.steps[1]:
        parser.error("--steps: the second training must be the longer one")
    for checkout in (options.here, options.other):
        if not (checkout / "seqff").is_dir():
            parser.error(f"{checkout} is no checkout of seqff: there is no folder seqff in it")
    with tempfile.TemporaryDirectory(prefix="seqff-against-") as name:
        folder, tiny = Path(name), None
        if options.clips is None:
            write_digit_clips(folder / "clips", clips=options.clip_count, progress=False)
        if options.tiny_files:
            tiny = folder / "tiny"
            make_tiny(tiny, options.tiny_files)
        clips = (options.clips or folder / "clips").resolve()
        both = {
            who: Checkout(path.resolve(), clips, tiny, folder / who, settings, tuple(options.steps))
            for who, path, settings in (
                ("here", options.here, options.settings),
                ("other", options.other, options.other_settings),
            )
        }
        used = take_turns(both, options.repeats)
        digests = {who: checkout.digests(options.repeats - 1) for who, checkout in both.items()}
    rows = summary(used, tuple(options.steps))
    print(table(rows, options.at_most))
    for what, digest in digests["here"].items():
        print(f"{what} the same to the bit: {'yes' if digest == digests['other'][what] else 'NO'}")
    write(options.json, {"repeats": options.repeats, "steps": options.steps, "rows": rows, "digests": digests})
    return int(any(row["ratio"] > options.at_most for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
