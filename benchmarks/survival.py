"""Robustness: jobs killed at random moments or started twice end with the same bytes.

    python -m benchmarks.survival [--kills 20] [--times 10] [--seed 0] [--only PART ...]    # an hour, all parts

workers    a training with two decoding processes is killed (kill -9) repeatedly: 5 s later none of its processes is
           alive and none of its shared memory remains
together   two trainings, two scans, two extractions (each also with --resume) are started in one folder, repeatedly:
           one exact result, and one clear line from the second job
train, extract, scan   killed after a random time and restarted, repeatedly; then it may finish
ranks      `torchrun --max-restarts 3` trains with two workers; one of them is killed at random moments

The result must be byte-identical (a manifest: entry by entry) to that of an undisturbed job. One thread per process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from benchmarks.measuring import ONE_THREAD, arguments
from benchmarks.scaling import TORCHRUN, write_clips
from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.config_io import dump_yaml, to_dict
from seqff.video import Manifest, scan

CONFIG = TrainConfig(
    steps=150,
    checkpoint_every=5,
    precision="fp32",
    pairs=PairsConfig(size_px=32, videos_per_batch=8, buffer_videos=16),
    encoder=EncoderConfig(widths=(8, 16, 32), kernels=(5, 3, 3), strides=(2, 1, 1), pools=(1, 2, 1)),
    objective=ObjectiveConfig(head="mlp", head_out=16),
)
RESTARTS = 3
MARK = "SEQFF_SURVIVAL"
GRACE_SECONDS = 5.0
DEEDS = ("train", "scan", "extract")
PARTS = ("workers", "together", *DEEDS, "ranks")
SHARED = Path("/dev/shm")


class Trials:
    """Jobs with the same settings in one folder.

    Args:
        folder: output folder.
        seed: seed of the moments.
        kills: number of kills of a training; more kills need more steps.
    """

    def __init__(self, folder: Path, seed: int, kills: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.manifest, self.settings = folder / "manifest.sqlite", folder / "settings.yaml"
        self.short = folder / "short.yaml"
        self.clips = write_clips(folder / "clips", 16)
        scan(self.clips, out=self.manifest, progress=False)
        config = dataclasses.replace(CONFIG, steps=max(CONFIG.steps, 30 * kills))
        self.settings.write_text(dump_yaml(to_dict(config)))
        self.short.write_text(dump_yaml(to_dict(CONFIG)))

    def start(
        self, deed: str, name: str, *more: str, before: tuple[str, ...] = (), config: Path | None = None, mark: str = ""
    ) -> subprocess.Popen[str]:
        """Start or resume a job."""
        given = {
            "train": [self.manifest, "--config", config or self.settings],
            "scan": [self.clips, "--workers", "1"],
            "extract": [self.folder / "run", self.manifest, "--per", "frame", "--batch-frames", "4", "--device", "cpu"],
        }[deed]
        command = [sys.executable, *before, "-m", "seqff", deed, *map(str, given), "--out", str(self.place(deed, name))]
        environment = {**os.environ, **ONE_THREAD, MARK: mark}
        return subprocess.Popen(
            [*command, "--no-progress", *more],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finish(
        self, deed: str, name: str, *more: str, before: tuple[str, ...] = (), config: Path | None = None
    ) -> float:
        """Run a job to its end and return its duration."""
        began = time.monotonic()
        process = self.start(deed, name, *more, before=before, config=config)
        said = process.communicate()[1]
        if process.returncode:
            raise SystemExit(f"{deed} {name!r} failed: {said}")
        return time.monotonic() - began

    def content(self, deed: str, name: str) -> dict[str, bytes]:
        """Return a job's results that do not depend on time and place."""
        out = self.place(deed, name)
        if deed == "scan":
            return {"manifest": json.dumps(Manifest.load(out).to_dict()).encode()}
        if deed == "extract":
            return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        plain = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
        return {"weights": (out / "encoder.safetensors").read_bytes(), "metrics": json.dumps(plain).encode()}

    def place(self, deed: str, name: str) -> Path:
        """Return the output path of a job."""
        return self.folder / (f"{name}.sqlite" if deed == "scan" else name)

    def remove(self, deed: str, name: str) -> None:
        """Delete the output of a job."""
        out = self.place(deed, name)
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)

    def killed(self, deed: str, kills: int) -> bool:
        """Kill a job at random moments after its start; a job that has already ended is restarted."""
        resume = () if deed == "scan" else ("--resume",)
        longest, done = self.finish(deed, "alone", *resume), 0
        if deed == "train":  # early enough that it seldom ends before the last kill
            longest = 5 + 3 * longest / kills
        while done < kills:
            process, moment = self.start(deed, "killed", *resume), self.random.uniform(0, longest)
            try:
                if process.communicate(timeout=moment) and process.returncode:
                    raise SystemExit(f"{deed} failed after {done} kills")
                print(f"{deed}: ended before this kill, and is restarted", flush=True)
                self.remove(deed, "killed")
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                done += 1
                print(f"{deed}: kill {done} after {moment:.1f} s", flush=True)
        self.finish(deed, "killed", *resume)
        same = self.content(deed, "killed") == self.content(deed, "alone")
        self.remove(deed, "alone")
        self.remove(deed, "killed")
        return same

    def workers(self, times: int) -> bool:
        """Kill trainings with decoding processes, and check what remains."""
        sound = True
        for number in range(times):
            before, mark = set(SHARED.iterdir()), uuid.uuid4().hex
            process = self.start("train", "workers", "--workers", "2", "--overwrite", mark=mark)
            while len(marked(mark)) < 4 and process.poll() is None:  # training, two workers, resource tracker
                time.sleep(0.05)
            time.sleep(self.random.uniform(0, 8))
            count = len(marked(mark))
            process.kill()
            process.communicate()
            killed = time.monotonic()
            while time.monotonic() - killed < GRACE_SECONDS and (marked(mark) or left_over(before)):
                time.sleep(0.01)
            after, left, shared = time.monotonic() - killed, marked(mark), left_over(before)
            print(f"workers: kill {number + 1} of {count} processes; {after:.2f} s later {len(left)} live, "
                  f"{len(shared)} files in shared memory", flush=True)  # fmt: skip
            sound &= count > 2 and not left and not shared
        self.remove("train", "workers")
        return sound

    def together(self, deed: str, times: int, *more: str) -> bool:
        """Start a job twice at the same time."""
        self.finish(deed, "alone", config=self.short)
        sound = True
        for number in range(times):
            both = [self.start(deed, "both", *more, config=self.short) for _ in range(2)]
            said = [process.communicate()[1].strip() for process in both]
            codes = sorted(process.returncode for process in both)
            same = self.content(deed, "both") == self.content(deed, "alone")
            lines = [line for text in said for line in text.splitlines()]
            print(f"together: {deed} {' '.join(more)} {number + 1}: codes {codes}, "
                  f"{'the same bytes' if same else 'OTHER BYTES'}; said: {lines}", flush=True)  # fmt: skip
            sound &= same and len(lines) <= 1 and (codes == [0, 0] or (codes == [0, 1] and len(lines) == 1))
            sound &= not any("cannot be read" in line for line in lines)
            sound &= not list(self.folder.glob("both*.partial"))
            self.remove(deed, "both")
        self.remove(deed, "alone")
        return sound

    def one_of_two(self) -> bool:
        """Kill one of two workers at random moments, as often as torchrun may restart them."""
        longest = self.finish("train", "two", "--resume", before=TORCHRUN)
        agent = self.start("train", "two_killed", "--resume", before=(*TORCHRUN, f"--max-restarts={RESTARTS}"))
        done = 0
        while done < RESTARTS and agent.poll() is None:
            moment = self.random.uniform(0.3, 1) * longest / 2
            time.sleep(moment)
            workers = [pid for pid in children(agent.pid) if variable(pid, "RANK") in ("0", "1")]
            if workers and agent.poll() is None:
                victim = self.random.choice(workers)
                print(f"ranks: rank {variable(victim, 'RANK')} killed, {moment:.1f} s later", flush=True)
                os.kill(victim, signal.SIGKILL)
                done += 1
        agent.communicate()
        weights = [self.folder / name / "encoder.safetensors" for name in ("two", "two_killed")]
        return agent.returncode == 0 and done > 0 and weights[0].read_bytes() == weights[1].read_bytes()


def marked(mark: str) -> list[int]:
    """Return live processes with this mark in their environment."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if variable(pid, MARK) == mark]


def left_over(before: set[Path]) -> set[Path]:
    """Return new files in shared memory that no live process has open; other jobs may run on this machine."""
    new = {file: file.stat().st_ino for file in set(SHARED.iterdir()) - before if file.exists()}
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()] if new else []
    used = set().union(*map(shared_by, pids))  # by inode: names change during creation
    return {file for file, number in new.items() if number not in used and file.exists()}


def shared_by(pid: int) -> set[int]:
    """Return the inodes of the shared memory files of a process."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    return {int(line.split()[4]) for line in lines if str(SHARED) in line}


def children(pid: int) -> list[int]:
    """Return the children of a process."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


def variable(pid: int, name: str) -> str | None:
    """Return an environment variable of another process; None if it has ended."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    except OSError:
        return None
    return next((entry.partition("=")[2] for entry in entries if entry.startswith(f"{name}=")), None)


def main(argv: list[str] | None = None) -> int:
    """Run the requested parts; return 1 if one failed."""
    parser = arguments(__doc__, json=False)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(argv)
    found: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), options.seed, options.kills)
        trials.finish("train", "run", config=trials.short)
        if "workers" in options.only:
            found[f"{options.times} trainings with workers killed, nothing of them left"] = trials.workers(
                options.times
            )
        if "together" in options.only:
            for deed, more in [*((deed, ()) for deed in DEEDS), ("train", ("--resume",)), ("extract", ("--resume",))]:
                what = f"two at once, {options.times} times: {' '.join((deed, *more))}"
                found[what] = trials.together(deed, options.times, *more)
        for deed in DEEDS:
            if deed in options.only:
                found[f"{options.kills} kills of {deed}, the same bytes"] = trials.killed(deed, options.kills)
        if "ranks" in options.only:
            found["a worker of two killed, the same bytes"] = trials.one_of_two()
    for what, sound in found.items():
        print(f"{what}: {'yes' if sound else 'NO'}")
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
