"""Sudden death: a training killed at random moments, and one worker of two; does it end with the same bytes?

    python benchmarks/survival.py [--kills 20] [--seed 0]

1. `seqff train --resume` is killed (kill -9) after a random time and started again, so many times; then it may finish.
2. `torchrun --max-restarts 3` trains with two workers; one of them is killed at random moments; nobody helps.
Both must end with the weights, byte for byte, of runs that nobody killed. One thread a process.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs in a checkout, too

from scaling import TORCHRUN, write_clips

from seqff.config import EncoderConfig, ObjectiveConfig, PairsConfig, TrainConfig
from seqff.config_io import dump_yaml, to_dict
from seqff.video import scan

CONFIG = TrainConfig(
    steps=150,
    checkpoint_every=5,
    precision="fp32",
    pairs=PairsConfig(size_px=32, videos_per_batch=8, buffer_videos=16),
    encoder=EncoderConfig(widths=(8, 16, 32), kernels=(5, 3, 3), strides=(2, 1, 1), pools=(1, 2, 1)),
    objective=ObjectiveConfig(head="mlp", head_width=32, head_out=16),
)
RESTARTS = 3


class Trials:
    """Trainings of the same settings in one folder.

    Args:
        folder: where everything lies.
        seed: of the moments.
        kills: how often a run will be killed; it has more steps for more of them.
    """

    def __init__(self, folder: Path, seed: int, kills: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.manifest, self.settings = folder / "manifest.json", folder / "settings.yaml"
        self.config = dataclasses.replace(CONFIG, steps=max(CONFIG.steps, 30 * kills))
        scan(write_clips(folder / "clips", 16), out=self.manifest, progress=False)
        self.settings.write_text(dump_yaml(to_dict(self.config)))

    def start(self, name: str, *before: str) -> subprocess.Popen[bytes]:
        """Start or go on with a run."""
        command = [
            sys.executable,
            *before,
            "-m",
            "seqff",
            "train",
            str(self.manifest),
            "--out",
            str(self.folder / name),
        ]
        threads = {**os.environ, "OMP_NUM_THREADS": "1"}
        given = [*command, "--config", str(self.settings), "--resume", "--no-progress"]
        return subprocess.Popen(given, env=threads, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def finish(self, name: str, *before: str) -> float:
        """Let a run end, and return how long it took."""
        began = time.monotonic()
        if self.start(name, *before).wait():
            raise SystemExit(f"the run {name!r} failed")
        return time.monotonic() - began

    def same(self, one: str, other: str) -> bool:
        """Say whether two runs ended with the same bytes."""
        return len({(self.folder / name / "encoder.safetensors").read_bytes() for name in (one, other)}) == 1

    def killed(self, kills: int) -> bool:
        """Kill one process at random moments, from its start on; so early that the run seldom ends before the last."""
        began, process = time.monotonic(), self.start("alone")
        while not (self.folder / "alone" / "metrics.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        ready = time.monotonic() - began
        if process.wait():
            raise SystemExit("the run 'alone' failed")
        longest = ready + 3 * (time.monotonic() - began - ready) / kills
        for number in range(kills):
            process, moment = self.start("killed"), self.random.uniform(0, longest)
            try:
                process.wait(moment)
                print("the run has ended before this kill", flush=True)
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait()
            steps = sorted(path.name for path in (self.folder / "killed").glob("checkpoints/step_*"))
            print(
                f"kill {number + 1}: after {moment:.1f} s, {steps[-1] if steps else 'before any checkpoint'}",
                flush=True,
            )
        self.finish("killed")
        return self.same("killed", "alone")

    def one_of_two(self) -> bool:
        """Kill one worker of two at random moments, as often as torchrun may start them again."""
        longest = self.finish("two", *TORCHRUN)
        agent = self.start("two_killed", *TORCHRUN, f"--max-restarts={RESTARTS}")
        done = 0
        while done < RESTARTS and agent.poll() is None:
            moment = self.random.uniform(0.3, 1) * longest / 2
            time.sleep(moment)
            workers = [pid for pid in children(agent.pid) if variable(pid, "RANK") in ("0", "1")]
            if workers and agent.poll() is None:
                victim = self.random.choice(workers)
                print(f"worker killed: rank {variable(victim, 'RANK')}, {moment:.1f} s later", flush=True)
                os.kill(victim, signal.SIGKILL)
                done += 1
        return agent.wait() == 0 and done > 0 and self.same("two_killed", "two")


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in found for child in file.read_text().split()]


def variable(pid: int, name: str) -> str | None:
    """A variable of another process's environment."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    except OSError:
        return None
    return next((entry.partition("=")[2] for entry in entries if entry.startswith(f"{name}=")), None)


def main(argv: list[str] | None = None) -> int:
    """Run both; 1 if a run ended with other bytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), arguments.seed, arguments.kills)
        alone = trials.killed(arguments.kills)
        print(f"{arguments.kills} kills, resumed each time: {'the same bytes' if alone else 'OTHER BYTES'}")
        two = trials.one_of_two()
        print(f"a worker of two killed: {'the run ended by itself with the same bytes' if two else 'FAILED'}")
    return 0 if alone and two else 1


if __name__ == "__main__":
    sys.exit(main())
