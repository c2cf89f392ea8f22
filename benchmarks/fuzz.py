"""Fuzzing of all untrusted inputs: does each mutated input end in a result or in a one-line error?

    python -m benchmarks.fuzz [--minutes 30] [--seed 0] [--kinds films,runs] [--keep tests/fuzz_inputs]
    python -m benchmarks.fuzz --rounds 1 --replay tests/fuzz_inputs

In every round a separate process gets a folder of mutated inputs of one kind (see `fuzz_inputs`) and does everything
with them that seqff does (see `fuzz_targets`). A round fails if the process dies, raises an exception that is not
seqff's, takes longer than the timeout of its files (twice in a row), allocates more than 1 GiB (decoders, in separate
processes, 4 GiB), sends a network request (the inputs name a local server, which is also set as proxy), or creates or
changes a file outside the output folder. Failing inputs are saved; --replay repeats the round with saved ones. Linux
only; one core.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from benchmarks.fuzz_inputs import changed, copy_of, make_seeds
from benchmarks.fuzz_targets import TARGETS, TIMEOUT_SECONDS
from benchmarks.measuring import arguments, memory_mb, peak_mb

INPUTS = {
    "films": 24,
    "pictures": 12,
    "arrays": 24,
    "shards": 12,
    "manifests": 30,
    "configs": 60,
    "runs": 5,
    "stores": 12,
}
"""Inputs of each kind per round, for a few seconds."""
_REMOTE = re.compile(rb'"root": "[a-zA-Z0-9+.-]+://')
HANGS = "it hangs"
CALLER_MB, DECODER_MB = 1074, 4295
ROUND_SECONDS = 30.0
"""Added to the timeout of two files, since a file may hang and is retried separately."""


class Listener:
    """A local server that counts requests."""

    def __init__(self) -> None:
        self.asked = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            self.asked += 1
            connection.close()

    @property
    def payloads(self) -> list[bytes]:
        """Return strings that would cause a request if followed."""
        names = ["http://{}/a.mp4", "http:/{}/a.mp4", "tcp://{}", "rtsp://{}/x", "concat:http://{}/a", "../../outside"]
        names += [
            "#EXTM3U\n#EXTINF:1,\nhttp://{}/a.ts\n",
            "ffconcat version 1.0\nfile http://{}/a.mp4\n",
            "/etc/passwd",
        ]
        return [name.format(self.address).encode() for name in names]


def write_inputs(kind: str, seeds: Path, to: Path, payloads: list[bytes], random: Random, count: int) -> None:
    """Write mutated inputs of a kind, each under a name that begins with its number."""
    files = sorted((seeds / kind).iterdir()) if (seeds / kind).is_dir() else []
    others = [file.read_bytes() for file in files if file.is_file()]
    to.mkdir(parents=True)
    for number in range(count):
        if kind in ("runs", "stores"):
            folder = copy_of(seeds / kind[:-1], to / f"{number:03d}")
            inside = [file for file in sorted(folder.rglob("*")) if file.is_file()]
            for file in random.sample(inside, random.choice((1, 1, 2))):
                file.write_bytes(changed(file, [], payloads, random))
            continue
        file = random.choice(files)
        data = changed(file, others, payloads, random)
        while kind == "manifests" and _REMOTE.search(data):  # reading these contacts their server (SECURITY.md)
            data = changed(file, others, payloads, random)
        if kind == "pictures":
            folder = to / f"{number:03d}"
            folder.mkdir()
            for name in ("1", "2", "3"):
                (folder / f"{name}{file.suffix}").write_bytes(data if name == "2" else file.read_bytes())
        else:
            (to / f"{number:03d}_{file.name}").write_bytes(data)


def seen_outside(sandbox: Path, box: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of each file in the sandbox outside the output folder."""
    mine = (box / "out", box / "in")
    files = (path for path in sandbox.rglob("*") if path.is_file() and not any(own in path.parents for own in mine))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def attempt(kind: str, box: Path, listener: Listener) -> str:
    """Process the inputs in box/in in a separate process; return what went wrong."""
    sandbox, asked = box.parent, listener.asked
    (box / "out").mkdir()
    (sandbox / "here").mkdir(exist_ok=True)
    before, (receive, send) = seen_outside(sandbox, box), os.pipe()
    child = os.fork()
    if not child:
        _work(kind, box, send, listener.address)
    os.close(send)
    try:
        wrong = _watched(child)
        with os.fdopen(receive, "rb") as said:
            text = said.read().decode(errors="replace") if not wrong else ""
    finally:
        _end_group(child)
    outside = seen_outside(sandbox, box)
    if outside != before:
        wrong = wrong or f"written outside: {sorted(set(outside.items()) ^ set(before.items()))[:3]}"
    if listener.asked != asked:
        wrong = wrong or "a request was sent"
    return wrong or text


def _work(kind: str, box: Path, send: int, proxy: str) -> None:
    """The main function of the process; it never returns."""
    os.setpgid(0, 0)
    os.chdir(box.parent / "here")
    os.environ |= {"http_proxy": f"http://{proxy}", "HTTP_PROXY": f"http://{proxy}", "https_proxy": f"http://{proxy}"}
    os.environ |= {"SEQFF_CACHE": str(box / "out" / "cache"), "SEQFF_DOWNLOADS": str(box / "out" / "downloads")}
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    resource.setrlimit(resource.RLIMIT_AS, (int(1e6 * memory_mb("VmSize")) + 8 * 2**30,) * 2)
    begin = peak_mb()
    said = ""
    try:
        TARGETS[kind](box)
    except BaseException:
        said = traceback.format_exc()
    took, decoders = peak_mb() - begin, peak_mb(resource.RUSAGE_CHILDREN)
    if took > CALLER_MB or decoders > DECODER_MB:
        said = said or f"{took:.0f} MB, decoders {decoders:.0f} MB"
    os.write(send, said.encode(errors="replace")[-60_000:])
    os._exit(0)


def _watched(child: int) -> str:
    """Wait for a process; return how it died, or that it hangs."""
    until = time.monotonic() + ROUND_SECONDS + 2 * TIMEOUT_SECONDS
    hangs = False
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            how = os.waitstatus_to_exitcode(status)
            return HANGS if hangs else f"it died ({how})" if how else ""
        if time.monotonic() > until and not hangs:
            hangs = True
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)


def _end_group(child: int) -> None:
    """Kill the remaining children of the process: its decoders."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def blame(kind: str, box: Path, listener: Listener) -> list[Path]:
    """Return the inputs that fail on their own; all, if none does."""
    everything, guilty = sorted((box / "in").iterdir()), list[Path]()
    for number, place in enumerate(everything):
        alone = box.parent / f"alone{number}"
        (alone / "in").mkdir(parents=True)
        (shutil.copytree if place.is_dir() else shutil.copyfile)(place, alone / "in" / place.name)
        if attempt(kind, alone, listener):
            guilty.append(place)
        shutil.rmtree(alone)
    return guilty or everything


def keep(kind: str, places: list[Path], folder: Path) -> None:
    """Save inputs under content-based names."""
    for place in places[:3]:
        files = [place] if place.is_file() else sorted(file for file in place.rglob("*") if file.is_file())
        digest = hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=6).hexdigest()
        target = folder / kind / f"{digest}_{place.name.partition('_')[2] or kind}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if place.is_dir() else shutil.copyfile)(place, target)


class Fuzz:
    """Rounds in a sandbox.

    Args:
        sandbox: an empty folder.
        keep: folder for failing inputs.
    """

    def __init__(self, sandbox: Path, keep: Path) -> None:
        self.sandbox, self.keep, self.listener = sandbox, keep, Listener()
        self.inputs, self.failed = Counter[str](), list[str]()
        make_seeds(sandbox / "seeds")

    def changed(self, kind: str, number: int) -> None:
        """Run a round of mutated inputs, determined by the number."""
        box = self.sandbox / f"box{number}"
        write_inputs(kind, self.sandbox / "seeds", box / "in", self.listener.payloads, Random(number), INPUTS[kind])
        if self._round(kind, box, f"round {number}"):
            keep(kind, blame(kind, box, self.listener), self.keep)
        shutil.rmtree(box)

    def replay(self, folder: Path) -> None:
        """Run a round of each kind with all saved inputs."""
        for kind in sorted(set(INPUTS) & {path.name for path in folder.iterdir()}):
            box = self.sandbox / f"kept_{kind}"
            copy_of(folder / kind, box / "in")
            self._round(kind, box, "kept inputs")

    def _round(self, kind: str, box: Path, name: str) -> bool:
        self.inputs[kind] += len(list((box / "in").iterdir()))
        wrong = attempt(kind, box, self.listener)
        if wrong == HANGS:  # or the machine was busy, which does not happen twice
            shutil.rmtree(box / "out")
            wrong = attempt(kind, box, self.listener)
        if wrong:
            self.failed.append(f"{kind}, {name}: {wrong.strip().splitlines()[-1]}")
            print(f"{kind}, {name}: {wrong}", flush=True)
        return bool(wrong)


def main() -> int:
    """Run rounds until the time is over, or a fixed number of each kind."""
    parser = arguments(__doc__, json=False)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each kind, instead of minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(INPUTS))
    parser.add_argument("--keep", type=Path, default=Path("fuzz_found"))
    parser.add_argument("--replay", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        fuzz, number = Fuzz(Path(place), given.keep.absolute()), given.seed * 10**6
        if given.replay:
            fuzz.replay(given.replay)
        until, made = time.monotonic() + 60 * given.minutes, 0
        while made < given.rounds if given.rounds else time.monotonic() < until:
            for kind in given.kinds.split(","):
                fuzz.changed(kind, number)
                number += 1
            made += 1
    print(f"{made} rounds of each kind; inputs: {dict(fuzz.inputs)}")
    print(f"{len(fuzz.failed)} rounds failed", *fuzz.failed, sep="\n")
    return bool(fuzz.failed)


if __name__ == "__main__":
    sys.exit(main())
